//! Where an object lies in the store: `b/<last two hex digits>/<32 hex digits>`.
//!
//! The last byte of a version 7 UUID is random, so 256 folders fill evenly, and an S3 server that splits its key
//! space by prefix spreads the load. The name is all that ties a reference to its object: it never changes.

use buzon_types::body_ref::ObjectId;
use object_store::path::Path;
use uuid::Uuid;

/// Above all objects of bodies; other kinds of object would get another letter.
pub(crate) const ROOT: &str = "b";

/// A name that was never used: time and 74 random bits.
pub(crate) fn fresh() -> ObjectId {
    ObjectId(Uuid::now_v7().as_u128())
}

/// The key of the object in the store.
pub(crate) fn path(object: ObjectId) -> Path {
    Path::from(format!("{ROOT}/{:02x}/{object}", object.0 as u8))
}

/// The object that a key names; none for a key that is not ours.
pub(crate) fn parse(path: &Path) -> Option<ObjectId> {
    let object = ObjectId(u128::from_str_radix(path.filename()?, 16).ok()?);
    (self::path(object) == *path).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_object_and_other_keys_name_none() {
        let object = fresh();
        assert_eq!(parse(&path(object)), Some(object));
        for foreign in ["b/00/xyz", "b/zz", "x/00/00000000000000000000000000000000", ""] {
            assert_eq!(parse(&Path::from(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn the_path_of_an_old_object_never_changes() {
        let object = ObjectId(0x0198_0000_0000_7000_8000_0000_0000_00ab);
        assert_eq!(path(object).as_ref(), "b/ab/019800000000700080000000000000ab");
    }
}
