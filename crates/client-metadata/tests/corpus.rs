//! What the fuzz targets of this crate were fed with, as a test.

#[cfg(test)]
mod properties;
#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::{properties, replay::replay};

    #[test]
    fn client_assertion() {
        replay("client_assertion", properties::assertion::check);
    }

    #[test]
    fn client_document() {
        replay("client_document", properties::document::check);
    }
}
