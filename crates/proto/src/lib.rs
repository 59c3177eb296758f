//! Generated wire types and their conversions to model values.
