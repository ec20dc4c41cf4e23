//! Job queues: the job that runs is finished, and its result is in Redis.

use super::{App, Check, endings, token, wait_until_up};
use crate::kit::{Test, eventually};

/// Redis keeps what it was given, so that the result can be asked for when all is over.
const REDIS: &str = "redis: exec redis-server --port $PORT --save '' --appendonly yes\n";

fn app(queue: &'static str, worker: &str) -> Option<App> {
    let work = move |test: &Test| -> Check {
        let token = token();
        wait_until_up(test, "redis");
        test.beside(["run", "python", "jobs.py", "add", queue, &token]).code(0);
        eventually("the job has begun", || test.path(&format!("began.{token}")).exists());
        Box::new(move |test, up| {
            let script = ["python", "jobs.py", "result", queue, &token];
            let before: &[&str] = if up { &["run"] } else { &["start", "redis", "--"] };
            let finished = test.beside([before, &script].concat()).code(0);
            finished.stdout(&format!("result of {token}\n"));
        })
    };
    let app = App::with_ports(&["redis-server", queue_program(queue)], work)?
        .procfile(&format!("{REDIS}worker: {worker}\n"))
        .file("ganger.toml", &settings(queue))
        .file("jobs.py", include_str!("apps/jobs.py"))
        .file("celery_app.py", include_str!("apps/celery_app.py"))
        .file("dramatiq_app.py", include_str!("apps/dramatiq_app.py"))
        .file("huey_app.py", include_str!("apps/huey_app.py"))
        .restarting("worker");
    Some(app)
}

fn queue_program(queue: &str) -> &'static str {
    match queue {
        "celery" => "celery",
        "dramatiq" => "dramatiq",
        _ => "huey_consumer",
    }
}

/// At TERM, huey gives up what it runs; INT is its word for a graceful stop.
fn settings(queue: &str) -> String {
    let stop = if queue == "huey" { "stop-signal = \"INT\"\n" } else { "" };
    format!("[process.worker]\nwait-for = [\"redis\"]\n{stop}")
}

endings!(app("celery", "celery -A celery_app worker -c 1") =>
    celery_finishes_its_task_on_ctrl_c,
    celery_finishes_its_task_on_term,
    celery_finishes_its_task_on_restart_and_stop
);

endings!(app("dramatiq", "dramatiq -p 1 -t 1 dramatiq_app") =>
    dramatiq_finishes_its_task_on_ctrl_c,
    dramatiq_finishes_its_task_on_term,
    dramatiq_finishes_its_task_on_restart_and_stop
);

endings!(app("huey", "huey_consumer huey_app.huey -k process -w 1") =>
    huey_finishes_its_task_on_ctrl_c,
    huey_finishes_its_task_on_term,
    huey_finishes_its_task_on_restart_and_stop
);
