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
    fn tokens() {
        replay("tokens", properties::tokens::check);
    }

    #[test]
    fn scopes() {
        replay("scopes", properties::scopes::check);
    }

    #[test]
    fn redirect_uri() {
        replay("redirect_uri", properties::redirect_uri::check);
    }

    #[test]
    fn resource() {
        replay("resource", properties::resource::check);
    }
}
