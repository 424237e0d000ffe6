//! What a process uses, as the kernel counts it.

use std::path::{Path, PathBuf};

/// A process that runs.
pub struct Usage(PathBuf);

impl Usage {
    pub fn of(pid: u32) -> Self {
        Self(format!("/proc/{pid}").into())
    }

    pub fn of_this_process() -> Self {
        Self::of(std::process::id())
    }

    /// Resident memory now.
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("statm")).unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// The most that was resident at any time.
    pub fn resident_bytes_at_most(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("status")).unwrap_or_default();
        let kibibytes =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    }

    /// User and system time so far.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.0)
    }

    /// The same of the threads whose names begin so; the kernel keeps 15 letters of them.
    pub fn cpu_seconds_of(&self, threads: &str) -> f64 {
        let all = std::fs::read_dir(self.0.join("task")).into_iter().flatten().flatten().map(|thread| thread.path());
        let name = |thread: &PathBuf| std::fs::read_to_string(thread.join("comm")).unwrap_or_default();
        all.filter(|thread| name(thread).starts_with(threads)).map(|thread| cpu_seconds(&thread)).sum()
    }
}

/// Of a process or thread, by its folder in /proc.
fn cpu_seconds(folder: &Path) -> f64 {
    let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
