//! Web servers: the request that is being served gets its answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{App, Check, endings};
use crate::kit::{LIMIT, Test, eventually, poll_for};

fn app(program: &str, web: &str) -> Option<App> {
    let work = |test: &Test| -> Check {
        let _ = std::fs::remove_file(test.path("began"));
        let connect = || TcpStream::connect(("127.0.0.1", test.port())).ok();
        let mut stream = poll_for(LIMIT, connect).expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
        eventually("the request is being served", || test.path("began").exists());
        Box::new(move |_, _| {
            stream.set_read_timeout(Some(LIMIT)).expect("set");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("served"), "{answer}");
        })
    };
    let app = App::with_ports(&[program], work)?
        .procfile(&format!("web: {web}\n"))
        .file("slow.py", include_str!("apps/slow.py"))
        .file("config.ru", include_str!("apps/config.ru"));
    Some(app)
}

endings!(app("gunicorn", "gunicorn -b 127.0.0.1:$PORT slow:app") =>
    gunicorn_answers_its_request_on_ctrl_c,
    gunicorn_answers_its_request_on_term,
    gunicorn_answers_its_request_on_restart_and_stop
);

endings!(app("puma", "puma -b tcp://127.0.0.1:$PORT") =>
    puma_answers_its_request_on_ctrl_c,
    puma_answers_its_request_on_term,
    puma_answers_its_request_on_restart_and_stop
);

endings!(app("puma", "puma -w 2 -b tcp://127.0.0.1:$PORT") =>
    a_cluster_of_puma_answers_its_request_on_ctrl_c,
    a_cluster_of_puma_answers_its_request_on_term,
    a_cluster_of_puma_answers_its_request_on_restart_and_stop
);
