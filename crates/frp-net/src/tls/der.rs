//! The few DER elements that are needed raw: the certificate parser gives them interpreted only.

/// One element: tag, length, content.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Header and content.
    pub(super) whole: &'a [u8],
    /// What follows the element.
    pub(super) rest: &'a [u8],
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const BIT_STRING: u8 = 0x03;
/// The explicit version of a certificate, which v1 does not have.
const VERSION: u8 = 0xa0;

/// The element at the beginning of `input`; `None` if it is cut short or its length is not in DER's form.
pub(super) fn element(input: &[u8]) -> Option<Element<'_>> {
    let (&tag, after_tag) = input.split_first()?;
    let (&first, mut after_length) = after_tag.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        // No certificate needs more than three bytes of length: TLS could not carry it.
        let (bytes, after) = after_length.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 3 {
            return None;
        }
        length = bytes.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        after_length = after;
    }
    let (content, rest) = after_length.split_at_checked(length)?;
    let whole = input.get(..input.len() - rest.len())?;
    Some(Element { tag, content, whole, rest })
}

/// The element at the beginning of `input`, if it is a sequence.
pub(super) fn sequence(input: &[u8]) -> Option<Element<'_>> {
    element(input).filter(|e| e.tag == SEQUENCE)
}

/// The parts of a certificate: the signed part, the content of the signature's algorithm, the signature.
pub(super) fn certificate(der: &[u8]) -> Option<(Element<'_>, &[u8], &[u8])> {
    let signed = sequence(sequence(der)?.content)?;
    let algorithm = sequence(signed.rest)?;
    Some((signed, algorithm.content, bits(algorithm.rest)?))
}

/// The `SubjectPublicKeyInfo` of a certificate, whole, whatever else the certificate holds.
pub(super) fn public_key_info(der: &[u8]) -> Option<&[u8]> {
    let (signed, ..) = certificate(der)?;
    let mut field = element(signed.content)?;
    if field.tag == VERSION {
        field = element(field.rest)?;
    }
    // Past the serial number: signature, issuer, validity, subject, key.
    for _ in 0..5 {
        field = sequence(field.rest)?;
    }
    Some(field.whole)
}

/// The content of the algorithm and the key bits of a `SubjectPublicKeyInfo`.
pub(super) fn public_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let algorithm = sequence(sequence(info)?.content)?;
    Some((algorithm.content, bits(algorithm.rest)?))
}

/// The bytes of a bit string of whole bytes.
fn bits(input: &[u8]) -> Option<&[u8]> {
    match element(input)? {
        Element { tag: BIT_STRING, content: [0, bytes @ ..], .. } => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let parsed = |bytes: &[u8]| element(bytes).map(|e| (e.content.len(), e.rest.len()));
        assert_eq!(parsed(&[0x30, 2, 1, 2, 9]), Some((2, 1)));
        assert_eq!(parsed(&[0x30, 0x81, 2, 1, 2, 9]), Some((2, 1)));
        assert_eq!(parsed(&[0x30, 0x82, 0, 2, 1, 2]), Some((2, 0)));
        assert_eq!(parsed(&[0x30, 0]), Some((0, 0)));
    }

    #[test]
    fn bad_lengths_end_nowhere() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81],
            &[0x30, 0x84, 0, 0, 0, 1, 1],
            &[0x30, 0xff, 0xff, 0xff],
            &[0x30, 0x83, 0xff, 0xff, 0xff, 0],
        ] {
            assert!(element(bytes).is_none(), "{bytes:x?}");
        }
    }

    #[test]
    fn a_key_is_taken_with_all_that_its_element_holds() {
        let der = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().to_vec();
        let info = public_key_info(&der).unwrap();
        let at = info.as_ptr().addr() - der.as_ptr().addr();
        // Two bytes more behind the key, counted by everything around them.
        let mut longer = der.clone();
        longer.splice(at + info.len()..at + info.len(), [5, 0]);
        for length in [at + 1, 7, 3] {
            longer[length] += 2;
        }
        let parsed = super::super::certificate::Certificate::parse(&longer.clone().into()).unwrap();
        assert_eq!(Some(&parsed.public_key_info[..]), public_key_info(&longer));
        assert_eq!(parsed.public_key_info.len(), info.len() + 2);
        assert_eq!(public_key(&parsed.public_key_info), public_key(info));
    }

    #[test]
    fn every_cut_of_a_certificate_is_no_certificate() {
        let der = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.der().to_vec();
        let (algorithm, key) = public_key(public_key_info(&der).unwrap()).unwrap();
        assert!(!algorithm.is_empty() && key.len() == 65);
        for cut in 0..der.len() {
            assert!(public_key_info(&der[..cut]).is_none());
        }
    }
}
