//! IPv6 extension headers.

/// An IPv6 extension header; its first byte is overwritten with the next header's number.
#[derive(Clone, Debug)]
pub struct Extension {
    pub number: u8,
    pub bytes: Vec<u8>,
}

/// Extension headers, the last of which names `next`.
pub fn chained(extensions: &[Extension], next: u8) -> Vec<u8> {
    let followers = extensions.iter().skip(1).map(|next| next.number);
    extensions
        .iter()
        .zip(followers.chain([next]))
        .flat_map(|(extension, next)| {
            let mut bytes = extension.bytes.clone();
            bytes[0] = next;
            bytes
        })
        .collect()
}
