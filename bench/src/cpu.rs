//! CPU time of this thread: a clock on the wall also measures what else the machine does.

use anyhow::Result;

/// CPU nanoseconds of the work.
pub fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu_ns();
    work()?;
    Ok((cpu_ns() - before) as f64)
}

/// Both sides of a ratio on the same CPU: others are slowed down by what else the machine does, to no measure.
pub fn stay_on_this_cpu() -> Result<()> {
    // SAFETY: the set is plain data, filled in here.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    anyhow::ensure!(done == 0, "failed to stay on one CPU: {}", std::io::Error::last_os_error());
    Ok(())
}

/// Of the rounds of a measurement.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpu_ns() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
