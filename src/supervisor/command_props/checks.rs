//! Whether the promises were kept: what each client hears is true, and at rest everything is as the last
//! commands said.

use std::collections::BTreeSet;

use tokio::sync::mpsc::unbounded_channel;

use super::history::{Client, History, name_of};
use super::moves::Ask;
use crate::model::Sig;
use crate::supervisor::command::{Answer, Command, Did, Done, Stage, What};
use crate::supervisor::driver::Message;
use crate::supervisor::driver_tests::signal;
use crate::supervisor::fleet::{Order, Via};

impl History {
    pub(super) fn read_answers(&mut self) {
        for at in 0..self.clients.len() {
            let Some(answers) = &mut self.clients[at].answers else { continue };
            if let Ok(answer) = answers.try_recv() {
                assert!(!self.clients[at].is_answered, "answered twice: {:?}", self.clients[at]);
                self.clients[at].is_answered = true;
                self.check(at, &answer);
            }
        }
    }

    /// Whether what a client hears is true.
    pub(super) fn check(&self, client: usize, answer: &Answer) {
        let client = &self.clients[client];
        match answer {
            Answer::Done(all, formation) => {
                for (name, count) in formation {
                    let promised = self.promised.keys().filter(|id| name_of(id) == name.as_str()).count();
                    assert_eq!(*count, promised, "{name}: {answer:?}, {:?}", self.promised);
                }
                let ids: BTreeSet<String> = all.iter().map(|done| done.id.to_string()).collect();
                assert_eq!(ids.len(), all.len(), "each process once: {all:?}");
                for done in all {
                    self.check_done(client, done);
                }
            }
            Answer::Awaited(all) => {
                assert!(!all.is_empty());
                for it in all.iter().filter(|it| it.never) {
                    assert!(self.world.borrow().live(&it.id.to_string()).is_none(), "{it:?} is there");
                }
            }
            Answer::Status(..)
            | Answer::Signaled(..)
            | Answer::Ending
            | Answer::Environment(_)
            | Answer::Refused(_) => {}
        }
    }

    pub(super) fn check_done(&self, client: &Client, done: &Done) {
        let (world, id) = (self.world.borrow(), done.id.to_string());
        let context = format!("{done:?} for {client:?}; it is {:?}", world.live(&id));
        let up = world.up(&id);
        // It was true when the client still waited for another process.
        let has_changed = self.last.get(&id) > Some(&client.number) || !self.is_running();
        let has_died = |pid: i32| {
            world.at(pid).is_some_and(|at| world.processes[at].id == id && !world.processes[at].is_alive)
        };
        match &done.what {
            Did::Started(pid) | Did::Restarted(pid) => {
                assert!(up.is_some_and(|it| it.pid == *pid) || has_died(*pid) || has_changed, "{context}");
                let place = world.at(*pid).expect("it was started");
                assert!(place >= client.started, "it was there before: {context}");
                if matches!(done.what, Did::Restarted(_)) {
                    assert!(
                        world.processes.iter().filter(|it| it.id == id).count() > 1
                            || world.processes[place].run.number > 1,
                        "{context}"
                    );
                }
            }
            Did::WasUp(pid) => {
                assert!(up.is_some_and(|it| it.pid == *pid) || has_died(*pid) || has_changed, "{context}");
                assert!(!matches!(client.ask, Ask::Order(_, Order::Restart)), "{context}");
            }
            Did::Stopped(_) | Did::WasDown => assert!(world.live(&id).is_none() || has_changed, "{context}"),
            Did::Failed(_) => assert!(up.is_none(), "{context}"),
            Did::Superseded => assert!(has_changed, "{context}"),
            Did::Ordered => assert!(!client.waits, "{context}"),
        }
    }

    pub(super) fn end(&mut self) {
        self.settle();
        for client in &self.clients {
            // What is started again and again may still become ready.
            let may_wait = matches!(client.ask, Ask::Wait(_)) && self.driver.timers.until_next().is_some();
            let is_answered = client.is_answered || client.answers.is_none() || may_wait;
            assert!(is_answered, "never answered: {client:?}");
        }
        if self.is_running() {
            self.check_at_rest();
            self.hear(signal(Sig::INT, Via::Guard));
            self.settle();
        }
        assert!(self.is_over(), "it has ended");
        let world = self.world.borrow();
        assert!(world.processes.iter().all(|it| it.is_gone), "nothing is left");
    }

    pub(super) fn check_at_rest(&mut self) {
        let world = self.world.borrow();
        for it in world.processes.iter().filter(|it| !(it.is_gone && it.is_reaped)) {
            let promise =
                self.promised.get(&it.id).unwrap_or_else(|| panic!("{it:?} is not part of the formation"));
            assert!(!promise.is_stopped, "{it:?} was stopped");
            let id = &world.specs[it.run.slot.0].id;
            let now = world.current.instance(id).expect("a port").expect("a type");
            assert_eq!((&it.command, it.port), (&now.command, now.port), "{it:?} is not as the files say");
        }
        for id in self.promised.iter().filter(|(_, it)| !it.is_stopped).map(|(id, _)| id) {
            assert!(world.excused.contains(id) || world.up(id).is_some(), "{id} is not up");
        }
        drop(world);
        self.check_status();
    }

    /// What `ps` says is what there is.
    pub(super) fn check_status(&mut self) {
        let (answer, mut answers) = unbounded_channel();
        self.hear(Message::Command(Command { what: What::Status, answer }));
        let Ok(Answer::Status(all, _)) = answers.try_recv() else { panic!("no status") };
        let world = self.world.borrow();
        for status in &all {
            let up = world.up(&status.id.to_string());
            assert_eq!(status.state == Stage::Up, up.is_some(), "{status:?}, {up:?}");
            if let Some(up) = up {
                let said = (status.pid, &status.command, status.port);
                assert_eq!(said, (Some(up.pid), &up.command, up.port), "{status:?}");
            }
        }
        let shown: BTreeSet<String> = all.iter().map(|status| status.id.to_string()).collect();
        assert!(self.promised.keys().all(|id| shown.contains(id)), "{shown:?}, {:?}", self.promised);
    }
}
