//! The generator as its users run it: a process that reads a plan and prints lines, against an HTTP/2 server whose misdeeds are known.

mod generator;
mod honesty;
mod outcomes;
mod server;
mod tls;
mod troubles;
