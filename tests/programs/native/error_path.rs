// As connect_error_path.c, through std::net: the connection is forgotten on purpose when the backend refuses.
//   rust [--repaired] [--requests N] --truth FILE
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const REFUSE_EVERY: u32 = 4;
static OPENED: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)]; // line, count
static ANSWERED: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
static CLOSED: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

fn note(place: &[AtomicU32; 2], line: u32) {
    place[0].store(line, Relaxed);
    place[1].fetch_add(1, Relaxed);
}

fn serve_backend(listener: TcpListener, requests: u32) {
    for _ in 0..requests {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0u8];
        client.read_exact(&mut request).unwrap();
        client.write_all(if request[0] == b'R' { b"N" } else { b"Y" }).unwrap();
    }
}

#[inline(never)]
fn open_backend(address: &SocketAddr, request: u8, repaired: bool) -> Option<TcpStream> {
    note(&OPENED, line!()); let mut connection = TcpStream::connect(address).unwrap(); // one line: the truth is the call's
    let mut answer = [0u8];
    connection.write_all(&[request]).unwrap();
    note(&ANSWERED, line!()); connection.read_exact(&mut answer).unwrap(); // as above
    if answer[0] != b'Y' {
        if !repaired {
            std::mem::forget(connection); // the leak
        }
        return None;
    }
    Some(connection)
}

#[inline(never)]
fn close_backend(connection: TcpStream) -> u32 {
    note(&CLOSED, line!()); drop(connection); // as above
    CLOSED[1].load(Relaxed)
}

#[inline(never)]
fn place_order(address: &SocketAddr, number: u32, repaired: bool) -> bool {
    let request = if number % REFUSE_EVERY == 0 { b'R' } else { b'O' };
    match open_backend(address, request, repaired) {
        Some(connection) => close_backend(connection) > 0,
        None => false,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let repaired = arguments.iter().any(|a| a == "--repaired");
    let truth = &arguments[arguments.iter().position(|a| a == "--truth").unwrap() + 1];
    let requests = arguments.iter().position(|a| a == "--requests").map_or(20, |at| arguments[at + 1].parse().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let backend = std::thread::spawn(move || serve_backend(listener, requests));
    let mut refused = 0;
    let mut number = 0;
    // Not unrolled, which would make several call paths; black_box() is younger than the oldest compiler here.
    while unsafe { std::ptr::read_volatile(&number) } < requests {
        refused += u32::from(!place_order(&address, number, repaired));
        number += 1;
    }
    backend.join().unwrap();
    let place = |place: &[AtomicU32; 2], what: &str, function: &str| format!(
        "{{\"what\":\"{}\",\"file\":\"error_path.rs\",\"line\":{},\"function\":\"{}::{}\",\"count\":{}}}",
        what, place[0].load(Relaxed), module_path!(), function, place[1].load(Relaxed));
    let text = format!(
        "{{\"program\":\"rust\",\"pid\":{},\"leaked\":{},\"created\":{},\"origin\":\"connect\",\"sockets_created\":{},\
         \"created_at\":{},\"touched_at\":{},\"closed_at\":[{}]}}\n",
        std::process::id(), if repaired { 0 } else { refused }, OPENED[1].load(Relaxed), 1 + 2 * requests,
        place(&OPENED, "socket", "open_backend"), place(&ANSWERED, "recv → data", "open_backend"),
        place(&CLOSED, "close", "close_backend"));
    std::fs::write(truth, text).unwrap();
}
