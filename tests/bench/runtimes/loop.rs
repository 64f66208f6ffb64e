// A bound UDP socket made and closed, args[1] times, args[2] frames below main: what bench_runtimes.py runs.
use std::io::{Read, Write};

#[inline(never)]
fn deeper(depth: u32, count: u32) -> u32 {
    if depth > 0 {
        return std::hint::black_box(deeper(depth - 1, count)) + 1;
    }
    for _ in 0..count {
        drop(std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    }
    0
}

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    println!("ready");
    let mut byte = [0u8];
    while std::io::stdin().read(&mut byte).expect("stdin") == 1 {
        let begin = std::time::Instant::now();
        deeper(numbers[1], numbers[0]);
        println!("{}", begin.elapsed().as_nanos() as f64 / f64::from(numbers[0]));
        std::io::stdout().flush().expect("stdout");
    }
}
