//! What the fuzz target of this crate was fed with, as a test.

#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{properties, replay::replay};

    #[test]
    fn traceparent() {
        replay("traceparent", properties::traceparent);
    }
}
