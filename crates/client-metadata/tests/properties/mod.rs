pub(crate) mod assertion;
pub(crate) mod document;
