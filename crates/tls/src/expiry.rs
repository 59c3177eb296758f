//! When a certificate ends.
//!
//! webpki parses certificates but tells no dates, except of one that has ended. So it is asked what it thinks of the
//! certificate at the end of all times.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

/// The last second that X.509 can name is in the year 9999; this is later.
const END_OF_TIMES: Duration = Duration::from_secs(300_000_000_000);

/// Seconds since 1970, of the first certificate of a chain. None if it cannot be read.
pub(crate) fn ends(chain: &[CertificateDer<'_>]) -> Option<u64> {
    let certificate = EndEntityCert::try_from(chain.first()?).ok()?;
    let at = UnixTime::since_unix_epoch(END_OF_TIMES);
    // Its dates are looked at before its signature and its use are.
    match certificate.verify_for_usage(&[], &[], &[], at, KeyUsage::server_auth(), None, None) {
        Err(Error::CertExpired { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    #[test]
    fn the_end_of_any_certificate_is_told() {
        /// 2031-02-03.
        const END: u64 = 1_927_843_200;
        for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_after = date_time_ymd(2031, 2, 3);
            params.is_ca = is_ca;
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(ends(&[certificate.der().clone()]), Some(END));
        }
        assert_eq!(ends(&[]), None);
        assert_eq!(ends(&[CertificateDer::from(vec![0x30, 0])]), None);
    }
}
