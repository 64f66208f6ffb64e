// Rust: modules, generics, methods, closures; inlined and not.
use std::ffi::CString;
use std::os::raw::{c_char, c_int};

extern "C" {
    fn truth_enter(function: *const c_char, inlined: c_int, line: c_int);
    fn truth_leave();
    fn truth_record();
}

macro_rules! call {
    ($function:expr, $inlined:expr, $call:expr) => {{
        let name = CString::new($function).unwrap();
        unsafe { truth_enter(name.as_ptr(), $inlined, line!() as c_int); }
        let result = $call;
        unsafe { truth_leave(); }
        result
    }};
}

mod net {
    use super::*;
    pub struct Pool { pub port: u16 }
    #[inline(always)]
    fn dial(port: u16) -> u16 { call!("crate_::net::dial", 1, unsafe { truth_record() }); port + 1 }
    impl Pool {
        #[inline(never)]
        pub fn get(&self) -> u16 { call!("<crate_::net::Pool>::get|crate_::net::Pool::get", 0, dial(self.port)) }
    }
    #[inline(never)]
    pub fn open<T: Into<u16>>(port: T) -> u16 { call!("crate_::net::open::<u8>|crate_::net::open", 0, Pool { port: port.into() }.get()) }
}

fn main() {
    let port = call!("crate_::main", 0, net::open(7u8));
    std::process::exit(if port == 0 { 1 } else { 0 });
}
