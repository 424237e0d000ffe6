//! `libchdb.so` as a server. The library carries ClickHouse's own HTTP and TCP servers; a statement opens their ports,
//! and another one blocks until a named pipe is written to.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::Read;
use std::path::Path;

use libloading::Library;

type Cmdline = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Runs ClickHouse until standard input ends. Meant for a process of its own.
///
/// # Errors
/// If the library cannot be loaded, or ClickHouse says why it does not run.
pub fn launch(library: &Path, config: &Path, pipe: &Path) -> Result<(), String> {
    let text = |path: &Path| path.display().to_string();
    let name = CString::new(text(pipe)).map_err(|error| error.to_string())?;
    let _ = std::fs::remove_file(pipe);
    // SAFETY: the name ends with a zero byte.
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        return Err(format!("failed to make {}: {}", text(pipe), std::io::Error::last_os_error()));
    }
    stop_with_stdin(pipe);
    let sql = format!(
        "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
         SELECT count() FROM file('{}', 'LineAsString', 'x String') FORMAT Null",
        text(pipe)
    );
    let arguments = ["clickhouse", "--config-file", &text(config), "--query", &sql];
    let arguments: Result<Vec<CString>, _> = arguments.iter().map(|argument| CString::new(*argument)).collect();
    run(library, arguments.map_err(|error| error.to_string())?)
}

fn run(library: &Path, arguments: Vec<CString>) -> Result<(), String> {
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    // SAFETY: the library is the pinned one, whose functions have these types; arguments live until it returns.
    unsafe {
        let library = Library::new(library).map_err(|error| error.to_string())?;
        let cmdline = library.get::<Cmdline>(b"chdb_query_cmdline").map_err(|error| error.to_string())?;
        let result_error = library.get::<ResultError>(b"chdb_result_error").map_err(|error| error.to_string())?;
        let result = cmdline(arguments.len() as c_int, pointers.as_mut_ptr());
        let error = result_error(result);
        if error.is_null() { Ok(()) } else { Err(std::ffi::CStr::from_ptr(error).to_string_lossy().into_owned()) }
    }
}

/// Whoever started us holds the other end of standard input, alive or not.
fn stop_with_stdin(pipe: &Path) {
    let pipe = pipe.to_owned();
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while matches!(std::io::stdin().read(&mut bytes), Ok(read) if read > 0) {}
        let _ = std::fs::write(&pipe, b"stop\n");
    });
}
