//! How outcomes stand in the rows of request records: as protobuf.

use buzon_meta_store::store::OutcomeCodec;
use buzon_model::reply::Outcome;

/// See the module.
pub(crate) struct Outcomes;

impl OutcomeCodec for Outcomes {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        buzon_proto::log::encode_outcome(outcome).to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        buzon_proto::log::decode_outcome(bytes::Bytes::copy_from_slice(bytes)).ok()
    }
}
