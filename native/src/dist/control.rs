//! The control tuples: which operations there are and where their parts stand.
//!
//! Many operations are variants of one another: with or without a trace token, with the reason inside the tuple or
//! behind it. `shape` maps them to one form each, so that nobody above sees more than that.
//!
//! Source: OTP, "Distribution Protocol", "Control Messages".

use super::PacketError;
use super::bytes::Cursor;

/// What the receiver of a message is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A pid.
    Pid,
    /// A registered name.
    Name,
    /// A reference.
    Alias,
}

/// Where the last part of a signal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// There is none.
    None,
    /// Behind the control tuple.
    Behind,
    /// The last element of the control tuple; as a payload it belongs behind it.
    Within,
}

/// Where the parts of a control tuple stand. Elements are counted from 0, which is the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A message; the payload behind the tuple is what is sent.
    Message {
        /// The element that holds the sender.
        from: Option<usize>,
        /// The element that holds the receiver.
        to: usize,
        /// What kind of term the receiver is.
        target: Target,
    },
    /// Any other signal.
    Signal {
        /// The operation in its one form: no token, and no reason inside the tuple.
        op: u8,
        /// The first element that the one form keeps; flags stand before it.
        first: usize,
        /// The last element that the one form keeps; a token or a reason stands behind it.
        last: usize,
        /// Where the reason or the arguments are.
        payload: Payload,
    },
}

/// The start of a control tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The operation.
    pub op: u8,
    /// Elements of the tuple, the operation included.
    pub arity: usize,
    /// Where its parts stand.
    pub shape: Shape,
}

const UNKNOWN: PacketError = PacketError::Malformed("unknown control operation");
const NO_TUPLE: PacketError = PacketError::Malformed("the control term is not a tuple that starts with an operation");

const ALTACT_SIG_SEND: u8 = 37;
/// Flags of `ALTACT_SIG_SEND`.
const TOKEN: u8 = 2;
const ALIAS: u8 = 4;
const NAME: u8 = 8;
const EXIT: u8 = 16;

/// Read the start of a control tuple; the cursor then stands before element 1.
pub fn read_head(cursor: &mut Cursor<'_>) -> Result<Head, PacketError> {
    let arity = match cursor.u8() {
        Some(104) => cursor.u8().map(usize::from),
        Some(105) => cursor.length(),
        _ => None,
    };
    let arity = arity.ok_or(NO_TUPLE)?;
    let op = read_small_integer(cursor).ok_or(NO_TUPLE)?;
    if op == ALTACT_SIG_SEND {
        // A copy: the flags are an element like the others.
        let flags = read_flags(&mut cursor.clone())?;
        return Ok(Head { op, arity, shape: alternative(flags, arity)? });
    }
    let (expected, shape) = shape(op).ok_or(UNKNOWN)?;
    if arity != expected {
        return Err(PacketError::Malformed("a control tuple of the wrong arity"));
    }
    Ok(Head { op, arity, shape })
}

fn read_small_integer(cursor: &mut Cursor<'_>) -> Option<u8> {
    match cursor.u8()? {
        97 => cursor.u8(),
        98 => u8::try_from(cursor.u32()?).ok(),
        _ => None,
    }
}

/// The low byte of the flags, which may be an integer of any size.
fn read_flags(cursor: &mut Cursor<'_>) -> Result<u8, PacketError> {
    let low = match cursor.u8() {
        Some(97) => cursor.u8(),
        Some(98) => cursor.take(4).and_then(|bytes| bytes.last().copied()),
        Some(110) => cursor.take(3).and_then(|bytes| bytes.last().copied()),
        _ => None,
    };
    low.ok_or(PacketError::Malformed("ALTACT_SIG_SEND without flags"))
}

/// `ALTACT_SIG_SEND`: `{37, Flags, From, To [, Token]}`; elements and flags that nobody knows are ignored.
fn alternative(flags: u8, arity: usize) -> Result<Shape, PacketError> {
    let target = match (flags & ALIAS != 0, flags & NAME != 0) {
        (false, false) => Target::Pid,
        (true, false) => Target::Alias,
        (false, true) => Target::Name,
        (true, true) => return Err(PacketError::Malformed("ALTACT_SIG_SEND to both a name and an alias")),
    };
    if arity < if flags & TOKEN == 0 { 4 } else { 5 } {
        return Err(PacketError::Malformed("a control tuple of the wrong arity"));
    }
    if flags & EXIT != 0 {
        return Ok(Shape::Signal { op: 26, first: 2, last: 3, payload: Payload::Behind });
    }
    Ok(Shape::Message { from: Some(2), to: 3, target })
}

/// Arity and shape of every other operation.
fn shape(op: u8) -> Option<(usize, Shape)> {
    use Payload::{Behind, Within};
    use Target::{Alias, Name, Pid};
    Some(match op {
        1 => signal(3, 1, 2, Payload::None),        // LINK From To
        2 => message(3, None, 2, Pid),              // SEND Unused To
        3 => signal(4, 24, 2, Within),              // EXIT From To Reason
        4 => signal(3, 4, 2, Payload::None),        // UNLINK From To
        6 => message(4, Some(1), 3, Name),          // REG_SEND From Unused Name
        7 => signal(3, 7, 2, Payload::None),        // GROUP_LEADER Leader To
        8 => signal(4, 26, 2, Within),              // EXIT2 From To Reason
        12 => message(4, None, 2, Pid),             // SEND_TT Unused To Token
        13 => signal(5, 24, 2, Within),             // EXIT_TT From To Token Reason
        16 => message(5, Some(1), 3, Name),         // REG_SEND_TT From Unused Name Token
        18 => signal(5, 26, 2, Within),             // EXIT2_TT From To Token Reason
        19 => signal(4, 19, 3, Payload::None),      // MONITOR_P Watcher PidOrName Ref
        20 => signal(4, 20, 3, Payload::None),      // DEMONITOR_P Watcher PidOrName Ref
        21 => signal(5, 28, 3, Within),             // MONITOR_P_EXIT PidOrName Watcher Ref Reason
        22 => message(3, Some(1), 2, Pid),          // SEND_SENDER From To
        23 => message(4, Some(1), 2, Pid),          // SEND_SENDER_TT From To Token
        24 => signal(3, 24, 2, Behind),             // PAYLOAD_EXIT From To
        25 => signal(4, 24, 2, Behind),             // PAYLOAD_EXIT_TT From To Token
        26 => signal(3, 26, 2, Behind),             // PAYLOAD_EXIT2 From To
        27 => signal(4, 26, 2, Behind),             // PAYLOAD_EXIT2_TT From To Token
        28 => signal(4, 28, 3, Behind),             // PAYLOAD_MONITOR_P_EXIT PidOrName Watcher Ref
        29 => signal(6, 29, 5, Behind),             // SPAWN_REQUEST ReqId From GL MFA OptList
        30 => signal(7, 29, 5, Behind),             // SPAWN_REQUEST_TT … Token
        31 => signal(5, 31, 4, Payload::None),      // SPAWN_REPLY ReqId To Flags PidOrAtom
        32 => signal(6, 31, 4, Payload::None),      // SPAWN_REPLY_TT … Token
        33 => message(3, Some(1), 2, Alias),        // ALIAS_SEND From Alias
        34 => message(4, Some(1), 2, Alias),        // ALIAS_SEND_TT From Alias Token
        35 | 36 => signal(4, op, 3, Payload::None), // UNLINK_ID, UNLINK_ID_ACK Id From To
        _ => return None,
    })
}

fn message(arity: usize, from: Option<usize>, to: usize, target: Target) -> (usize, Shape) {
    (arity, Shape::Message { from, to, target })
}

fn signal(arity: usize, op: u8, last: usize, payload: Payload) -> (usize, Shape) {
    (arity, Shape::Signal { op, first: 1, last, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Result<Head, PacketError> {
        read_head(&mut Cursor::new(bytes))
    }

    #[test]
    fn the_cursor_stops_before_the_first_element() {
        let mut cursor = Cursor::new(&[104, 3, 97, 1, 42]);

        let head = read_head(&mut cursor).unwrap();

        assert_eq!((head.op, head.arity), (1, 3));
        assert_eq!(cursor.rest(), [42]);
    }

    #[test]
    fn wide_forms_of_arity_and_operation_are_read() {
        assert_eq!(head(&[105, 0, 0, 0, 3, 98, 0, 0, 0, 22]).unwrap().op, 22);
    }

    #[test]
    fn traced_and_old_operations_have_the_form_of_the_plain_one() {
        let normal = |op: u8| shape(op).map(|(_, shape)| shape);
        let form = |op: u8| match normal(op) {
            Some(Shape::Signal { op, last, .. }) => Some((op, last)),
            _ => None,
        };
        for (variants, plain) in [(&[3, 13, 25][..], 24), (&[8, 18, 27], 26), (&[21], 28), (&[30], 29), (&[32], 31)] {
            for op in variants {
                assert_eq!(form(*op), form(plain), "operation {op}");
            }
        }
        for (traced, plain) in [(12, 2), (16, 6), (23, 22), (34, 33)] {
            assert_eq!(normal(traced), normal(plain));
        }
    }

    #[test]
    fn alternative_actions_say_what_they_are_by_flags() {
        let shape = |flags, arity| head(&[104, arity, 97, 37, 97, flags]).map(|head| head.shape);
        let message = |target| Ok(Shape::Message { from: Some(2), to: 3, target });

        assert_eq!(shape(0, 4), message(Target::Pid));
        assert_eq!(shape(1 | ALIAS, 4), message(Target::Alias));
        assert_eq!(shape(0x80 | NAME, 9), message(Target::Name));
        assert!(matches!(shape(EXIT | 1, 4), Ok(Shape::Signal { op: 26, .. })));
        assert!(shape(NAME | ALIAS, 4).is_err());
        assert!(shape(0, 3).is_err());
        assert!(shape(TOKEN, 4).is_err());
        assert_eq!(shape(TOKEN, 5), message(Target::Pid));
    }

    #[test]
    fn flags_may_be_a_large_integer() {
        let bytes = [104, 4, 97, 37, 110, 9, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1];

        assert!(matches!(head(&bytes).unwrap().shape, Shape::Message { target: Target::Alias, .. }));
    }

    #[test]
    fn what_is_no_control_tuple_is_an_error() {
        for bytes in [&[][..], &[106], &[104], &[104, 0], &[104, 1, 106], &[105, 0, 0], &[104, 3, 98, 0, 0, 1, 0]] {
            assert_eq!(head(bytes), Err(NO_TUPLE), "{bytes:?}");
        }
        for op in [0, 5, 9, 11, 14, 38, 255] {
            assert_eq!(head(&[104, 3, 97, op]), Err(UNKNOWN));
        }
        assert!(head(&[104, 4, 97, 1]).is_err(), "arity");
    }
}
