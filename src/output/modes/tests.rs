use super::sequences::ESC;
use super::*;

fn after(text: &str) -> Modes {
    let mut modes = Modes::default();
    modes.push(text.as_bytes());
    modes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Returns what is undone beyond what always is.
fn left(modes: &Modes) -> String {
    let all = text(&modes.leave());
    let end = [NO_LINK, BASE].concat();
    let rest = all.strip_prefix(&*text(LISTEN)).and_then(|all| all.strip_suffix(&*text(&end)));
    rest.unwrap_or_else(|| panic!("{all:?}")).to_owned()
}

/// Returns what a terminal that attaches later is shown.
fn again(bytes: &[u8]) -> String {
    let mut kept = Vec::new();
    Modes::default().push_and_keep(bytes, &mut kept);
    kept.escape_ascii().to_string().replace("\\x1b", "^")
}

#[test]
fn what_was_set_is_entered_and_left() {
    let vim = "\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[1;24r\x1b[?25l text";
    let modes = after(vim);
    assert_eq!(modes.other_screen(), Some(8));
    assert_eq!(text(&modes.enter()), "\x1b[?1049h\x1b[?1h\x1b[?2004h\x1b[?25l\x1b[H\x1b[2J\x1b=\x1b[>4;2m");
    assert_eq!(
        left(&modes),
        "\x1b[?1049l\x1b[?1l\x1b[?2004l\x1b[?25h\x1b[>4m\x1b>\x1b7\x1b[r\x1b8\x1b[23;0t"
    );
}

#[test]
fn what_was_undone_is_neither() {
    let done = "\x1b[?1049;25h\x1b[?1000h\x1b=\x1b[?1049l\x1b[?1000l\x1b>\x1b[r\x1b[>4;2m\x1b[>4m\x1b[>1u\x1b[<u\x1b[4h\x1b[4l\
                \x1b]11;red\x07\x1b]111\x07\x1b[22t\x1b[23t";
    let modes = after(done);
    assert_eq!((modes.other_screen(), text(&modes.enter())), (None, String::new()));
    assert_eq!(left(&modes), "");
    assert_eq!(left(&after("\x1b[?1049h\x1b[?25l\x1bc")), "", "a reset");
}

#[test]
fn every_change_is_undone() {
    for (change, back) in [
        ("\x1b[?1000;1002;1006h", "\x1b[?1000l\x1b[?1002l\x1b[?1006l"),
        ("\x1b[?5h", "\x1b[?5l"),
        ("\x1b[?7l", "\x1b[?7h"),
        ("\x1b[?8l", "\x1b[?8h"),
        ("\x1b[?69h", "\x1b[?69l"),
        ("\x1b[?1004h\x1b[?1007h\x1b[?2031h\x1b[?2048h", "\x1b[?1004l\x1b[?1007l\x1b[?2031l\x1b[?2048l"),
        ("\x1b[?9001h", "\x1b[?9001l"),
        ("\x1b[?9001l", ""),
        ("\x1b[?5h\x1b[?5s\x1b[?5l\x1b[?5r", "\x1b[?5l"),
        ("\x1b[?1000s\x1b[?1000h\x1b[?1000r", ""),
        ("\x1b[2;4;20h\x1b[12l", "\x1b[2l\x1b[4l\x1b[12h\x1b[20l"),
        ("\x1b[4 q", "\x1b[0 q"),
        ("\x1b[?12h", "\x1b[0 q"),
        ("\x1b[>1;2m\x1b[>4;1m", "\x1b[>1m\x1b[>4m"),
        ("\x1b[>4n", "\x1b[>4m"),
        ("\x1b[>3p", "\x1b[>1p"),
        ("\x1b[3q", "\x1b[0q"),
        ("\x1b[1\"q", "\x1b[0\"q"),
        ("\x1b[61\"p", "\x1b[64;1\"p"),
        ("\x1b[1$}", "\x1b[0$}"),
        ("\x1b*0\x1b+0", "\x1b*B\x1b+B"),
        ("\x1b G", "\x1b F"),
        ("\x1bl", "\x1bm"),
        ("\x1b%@", "\x1b%G"),
        ("\x1b%G", ""),
        ("\x1b]4;1;red;2;?\x07", "\x1b]104\x1b\\"),
        ("\x1b]4;1;?\x07\x1b]10;?\x07\x1b]12;?\x1b\\", ""),
        ("\x1b]10;red;blue;?;red\x1b\\", "\x1b]110\x1b\\\x1b]111\x1b\\\x1b]113\x1b\\"),
        ("\x1b]12;red\x07", "\x1b]112\x1b\\"),
        ("\x1b]22;wait\x07", "\x1b]22;\x1b\\"),
        ("\x1b]9;4;1;50\x07", "\x1b]9;4;0\x1b\\"),
        ("\u{9b}?1003h", "\x1b[?1003l"),
        ("\x1b[0;\x1b[?1003h", "\x1b[?1003l"),
        ("\x1b]0;t\x1b[?1003h", "\x1b[?1003l"),
    ] {
        assert_eq!(left(&after(change)), back, "{change:?}");
    }
    let long = format!("\x1b[?1003;{}h", "0;".repeat(9000));
    assert_eq!(left(&after(&long)), "\x1b[?1003l\x1b[?0l", "a long one");
    let tabs = left(&after("\x1b[3g\x1b[5G\x1bH"));
    assert!(tabs.starts_with("\x1b7\x1b[3g\x1b[1G\x1bH\x1b[9G\x1bH") && tabs.ends_with("H\x1b8"), "{tabs:?}");
    let mut latin = Modes::of_terminal(false);
    latin.push(b"\x9b?1000h\xc3\x9b?1003h\x1b%G");
    assert_eq!(left(&latin), "\x1b[?1000l\x1b[?1003l\x1b%@");
}

#[test]
fn flags_for_keys_are_set_or_pushed() {
    for (shown, enter, leave) in [
        ("\x1b[=5u", "\x1b[=5u", "\x1b[=0u"),
        ("\x1b[=5u\x1b[=0u", "", ""),
        ("\x1b[=5;1u\x1b[=8;2u\x1b[=1;3u", "\x1b[=12u", "\x1b[=0u"),
        ("\x1b[=1u\x1b[>1u\x1b[=5u", "\x1b[=1u\x1b[>5u", "\x1b[<1u\x1b[=0u"),
        // Each screen has its own.
        (
            "\x1b[>1u\x1b[?1049h\x1b[>5u\x1b[>7u",
            "\x1b[>1u\x1b[?1049h\x1b[H\x1b[2J\x1b[>5u\x1b[>7u",
            "\x1b[<2u\x1b[?1049l\x1b[<1u",
        ),
    ] {
        let modes = after(shown);
        assert_eq!((text(&modes.enter()), left(&modes)), (enter.into(), leave.into()), "{shown:?}");
    }
}

#[test]
fn pushed_flags_take_bounded_memory() {
    let mut modes = after(&"\x1b[>1u\x1b[22t".repeat(100_000));
    assert_eq!(modes.keys[0].pushed.len(), MAX_KEYS);
    assert_eq!(left(&modes), format!("\x1b[<65535u{}", "\x1b[23;0t".repeat(MAX_TITLES.into())));
    for mode in 0..10_000 {
        modes.push(
            format!("\x1b[?{mode}h\x1b[?{mode}s\x1b[>{mode};1m\x1b[>{mode}n\x1b]{mode};a;b\x07").as_bytes(),
        );
    }
    assert!(modes.changed.len() <= MAX_MODES && modes.saved.len() <= MAX_MODES);
    assert!(modes.key_resources.len() <= MAX_MODES && modes.colors.len() <= MAX_MODES);
}

#[test]
fn sequences_come_in_pieces() {
    let whole = "a\x1b[?1049hb\x1b]0;title\x07\x1b(0\x1b[?25l\x1bP$q\"p\x1b\\é\u{9b}?5h";
    for cut in 0..whole.len() {
        let mut modes = Modes::default();
        modes.push(&whole.as_bytes()[..cut]);
        modes.push(&whole.as_bytes()[cut..]);
        assert_eq!((modes.enter(), modes.leave()), (after(whole).enter(), after(whole).leave()), "{cut}");
    }
}

#[test]
fn queries_and_actions_are_not_replayed() {
    for (name, bytes) in [
        ("DA1", "\x1b[c\x1b[0c"),
        ("DA2", "\x1b[>c\x1b[>0c"),
        ("DA3", "\x1b[=c"),
        ("DECID", "\x1bZ\u{9a}"),
        ("DSR", "\x1b[5n"),
        ("CPR", "\x1b[6n"),
        ("DECXCPR", "\x1b[?6n"),
        ("printer, keys, locator", "\x1b[?15n\x1b[?25n\x1b[?26n\x1b[?55n\x1b[?996n"),
        ("DECREQTPARM", "\x1b[x\x1b[1x"),
        ("DECRQM", "\x1b[4$p\x1b[?2026$p"),
        ("XTVERSION", "\x1b[>q\x1b[>0q"),
        ("window", "\x1b[11t\x1b[13t\x1b[14t\x1b[16t\x1b[18t\x1b[19t"),
        ("title", "\x1b[20t\x1b[21t"),
        ("resize, iconify, move, raise", "\x1b[8;9;9t\x1b[2t\x1b[1t\x1b[3;0;0t\x1b[5t\x1b[9;1t\x1b[10;1t"),
        ("title stack", "\x1b[22;0t\x1b[23;0t"),
        ("kitty keys", "\x1b[?u"),
        ("modifyOtherKeys", "\x1b[?4m\x1b[?1m"),
        ("other resources of keys", "\x1b[>1;2m\x1b[>0m\x1b[>m\x1b[>4n"),
        ("sixel", "\x1b[?1;1;0S\x1b[?2;1;0S"),
        ("DECRQCRA", "\x1b[1;1;1;1;2;2*y"),
        ("DECRQPSR", "\x1b[1$w\x1b[2$w"),
        ("DECRQTSR", "\x1b[1$u\x1b[2;1$u"),
        ("DECRQUPSS", "\x1b[&u"),
        ("DECRQDE", "\x1b[\"v"),
        ("XTREPORTSGR, XTREPORTCOLORS", "\x1b[#|\x1b[1;1;1;1#|\x1b[#R"),
        ("DECTST, DECSR", "\x1b[4;1y\x1b[1+p"),
        ("ENQ", "\x05"),
        ("bell", "\x07"),
        (
            "colors",
            "\x1b]4;1;?\x07\x1b]5;0;?\x07\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]12;?\x07\x1b]21;foreground=?\x07",
        ),
        ("other colors", "\x1b]4;1;red\x07\x1b]10;red\x07\x1b]104\x07"),
        ("clipboard", "\x1b]52;c;?\x07\x1b]52;c;Y3VybA==\x1b\\\x1b]5522;type=read\x1b\\"),
        ("title", "\x1b]0;t\x07\x1b]1;t\x07\x1b]2;t\x1b\\\x1b]lt\x1b\\\x1bkt\x1b\\"),
        ("notes", "\x1b]9;hello\x07\x1b]777;notify;a;b\x07\x1b]99;;a\x1b\\\x1b]9;4;1;50\x07"),
        ("iTerm2", "\x1b]1337;File=:AAAA\x07\x1b]1337;ReportCellSize\x07\x1b]50;?\x07"),
        ("shell", "\x1b]7;file://h/\x07\x1b]133;A\x07\x1b]633;A\x07"),
        ("font, pointer", "\x1b]50;x\x07\x1b]22;?__current__\x07"),
        ("DECRQSS", "\x1bP$qm\x1b\\\x1bP$q q\x1b\\"),
        ("XTGETTCAP", "\x1bP+q544e\x1b\\"),
        ("pictures", "\x1bPq#0~\x1b\\\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"),
        ("DECUDK, tmux", "\x1bP0;1|17/41\x1b\\\x1bPtmux;\x1b\x1b\\"),
        ("APC, PM, SOS", "\x1b_x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\"),
        ("print", "\x1b[i\x1b[5i\x1b[4i\x1b[?5i\x1b[?1i\x1b[?11i"),
        ("C1 as UTF-8", "\u{9b}6n\u{9b}c\u{9d}52;c;?\u{9c}\u{90}$qm\u{9c}\u{9f}Ga=q\u{9c}"),
        ("what has scrolled away", "\x1b[3J\x1b[?3J"),
        ("mouse", "\x1b[1;1;1;9;9T"),
        ("a character many times", "\x1b[65535b"),
        ("keyboard lock, local echo", "\x1b[2h\x1b[12l"),
        ("unknown modes", "\x1b[?2048h\x1b[?3h\x1b[?40h\x1b[?9001h\x1b[?5s\x1b[?5r"),
        ("encoding, conformance", "\x1b%@\x1b%G\x1b G\x1b[61\"p"),
        ("status line, LEDs", "\x1b[2$~\x1b[1$}\x1b[3q"),
        ("alignment, memory lock", "\x1b#8\x1bl"),
        ("a link that is none", "\x1b]8;;\u{e9}\x07"),
        ("not known", "\x1b[1;2z\x1b[ z\x1b[1:2\x1b\x1b]\x18"),
    ] {
        let shown = again(format!("a{bytes}b").as_bytes());
        assert!(
            shown == "ab" || (name == "a link that is none" && shown == "a^]8;;^\\\\b"),
            "{name}: {shown}"
        );
    }
    assert_eq!(again(b"a\x9b6n\x9d52;c;?\x07\xe2\x9b"), "a6n52;c;?", "C1 of one byte");
    assert_eq!(again(b"\x1b[?2204h\x1b[?25h\x1bcx").matches("2204").count(), 0, "not even by a reset");
    let long = [b"a\x1b[".as_slice(), &b"1;".repeat(9000), b"mb\x1bP", &[b'q'; 9000], b"\x1b\\c"].concat();
    assert_eq!(again(&long), "abc");
}

#[test]
fn text_attributes_and_position_are_replayed() {
    for same in [
        "text é 漢 🙂\t\x08\r\n\x0b\x0c",
        "\x1b[1;31m\x1b[38:2::1:2:3m\x1b[m",
        "\x1b]8;id=a;http://a\x1b\\x\x1b]8;;\x1b\\",
        "\x1b[A\x1b[2B\x1b[C\x1b[D\x1b[E\x1b[F\x1b[G\x1b[1;1H\x1b[I\x1b[Z\x1b[5`\x1b[a\x1b[d\x1b[e\x1b[1;1f",
        "\x1b[s\x1b[u\x1b7\x1b8\x1bD\x1bE\x1bM",
        "\x1b[J\x1b[1J\x1b[2J\x1b[K\x1b[?J\x1b[?2K\x1b[9X",
        "\x1b[2@\x1b[2P\x1b[2L\x1b[2M\x1b[2S\x1b[2T\x1b[2b\x1b['}\x1b['~",
        "\x1b[1;9r\x1b[g\x1b[3g\x1bH",
        "\x1b(0q\x1b(B\x1b)0\x0eq\x0f\x1b*A\x1b+A",
        "\x1b[4h\x1b[4l\x1b[20h\x1b[?25l\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b=\x1b>\x1b[!p\x1b[4 q",
        "\x1b[>4;2m\x1b[>4m\x1b[>1u\x1b[=5;2u\x1b[<u",
    ] {
        let mut kept = Vec::new();
        Modes::default().push_and_keep(same.as_bytes(), &mut kept);
        assert_eq!(text(&kept), same);
    }
    assert_eq!(again(b"\x1b]8;;a\x07x\x1b]8;;\x07"), "^]8;;a^\\\\x^]8;;^\\\\");
    assert_eq!(again(b"\x1b[?25;2048;1049h\x1b[2;4l"), "^[?25h^[?1049h^[4l", "only those that are known");
    assert_eq!(
        again(b"\x1b[?1049h\x1b[?25lx\x1bcy"),
        "^[?1049h^[?25lx^[?1049l^[?25h^[0m\\x0f^(B^)B^[H^[2Jy",
        "a reset"
    );
    let keys = Modes::default().with_replay_from(0);
    let mut kept = Vec::new();
    keys.clone().push_and_keep(b"\x1b[>1ux\x1b[<u", &mut kept);
    assert_eq!(text(&kept), "x", "keys that are entered as they are at the end");
}

#[test]
fn new_output_passes_unchanged() {
    for (old, new, expected) in [
        ("a", "\x1b[6nb", "a\x1b[6nb"),
        ("a\x1b[3", "1mb", "a\x1b[31mb"),
        ("a\x1b]0;t\x1b", "\\b", "a\x1b]0;t\x1b\\b"),
        ("a\x1b[6n", "b", "ab"),
    ] {
        let (mut modes, mut kept) = (Modes::default(), Vec::new());
        modes.push_and_keep(old.as_bytes(), &mut kept);
        let rest = modes.end_replay(new.as_bytes(), &mut kept).expect("it ends");
        kept.extend_from_slice(&new.as_bytes()[rest..]);
        assert_eq!(text(&kept), expected);
    }
    let (mut modes, mut kept) = (Modes::default(), Vec::new());
    modes.push_and_keep("é".as_bytes().split_at(1).0, &mut kept);
    assert_eq!(
        (modes.end_replay(b"\xa9", &mut kept), &kept[..]),
        (Some(0), &b"\xc3"[..]),
        "half a character"
    );
    // A picture that is half shown.
    let (mut modes, mut kept) = (Modes::default(), Vec::new());
    modes.push_and_keep(&[b"a\x1bP", &[b'q'; 9000][..]].concat(), &mut kept);
    assert_eq!(modes.end_replay(b"qqq", &mut kept), None);
    assert_eq!(modes.end_replay(b"q\x1b\\b", &mut kept), Some(3));
    assert_eq!(text(&kept), "a");
}

#[test]
fn garbage_is_text() {
    let mut modes = Modes::default();
    for byte in 0..=255_u8 {
        modes.push(&[ESC, b'[', byte, byte, b'h', ESC, byte, ESC, b']', byte]);
    }
    modes.push(&vec![b'x'; 20_000]);
    modes.push(b"\x1b\\\x1b[?1000h");
    assert!(left(&modes).contains("\x1b[?1000l"));
}
