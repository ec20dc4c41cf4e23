//! The whole program with real processes, pipes, signals and terminals.
//!
//! A test builds its app with [`kit::Test`], runs it, and waits for what it expects to see. When
//! it is over, the kit looks whether any process it started is still alive, and fails it if so.
//! Linux only: that look goes through `/proc`.
#![cfg(target_os = "linux")]

mod addresses;
mod answers;
mod attach;
mod attach_leave;
mod attach_start;
mod attach_view;
mod backlog;
mod bad_input;
mod bad_programs;
mod beside;
mod bounds;
mod busy_port;
mod color;
mod config;
mod container;
mod control;
mod control_commands;
mod control_socket;
mod daemon;
mod docs;
mod ending;
mod finding;
mod ganger_toml;
mod ganger_toml_running;
mod helpers;
mod hidden_values;
mod hostile_clients;
mod hostile_text;
mod identity;
mod inherit;
mod joined;
mod json;
mod keep;
#[allow(dead_code, reason = "a kit has more than is used today")]
mod kit;
mod layers;
mod limits;
mod logs;
mod logs_plain;
mod mute;
mod named;
mod no_directory;
mod open;
mod option_layers;
mod output;
mod overlap;
mod policies;
mod prefix;
mod programs;
mod pty;
mod readiness;
mod real_time_signals;
mod recorded_env;
mod release;
mod responsive;
mod run;
mod run_terminal;
mod screen;
mod send;
mod signal_command;
mod signals;
mod smoke;
mod socket_bounds;
mod socket_users;
mod start;
mod start_together;
mod stopping;
mod stuck_output;
mod survivors;
mod survivors_killed;
mod survivors_matrix;
mod terminal;
mod unread;
mod wrapped;
mod wrappers;
mod zsh;
