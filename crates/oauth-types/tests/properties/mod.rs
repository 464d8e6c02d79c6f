//! What holds for every input. Shared with the fuzz targets, which include this file by its path.

pub(crate) mod redirect_uri;
pub(crate) mod resource;
pub(crate) mod scopes;
pub(crate) mod tokens;
