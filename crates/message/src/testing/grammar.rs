//! A strict reader of ENVELOPE, BODYSTRUCTURE and BODY (RFC 9051 §9), as an unforgiving client has it. Knows nothing of
//! how they are rendered.

/// What BODYSTRUCTURE tells of one part, in the order of their beginnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The type; `multipart` for one.
    pub media_type: Vec<u8>,
    /// The subtype.
    pub subtype: Vec<u8>,
    /// Bytes of the body; `None` for a multipart.
    pub octets: Option<u64>,
    /// Lines, where they are told.
    pub lines: Option<u64>,
}

/// Where the text departs from the grammar, and what was wanted there.
pub type Departure = (usize, &'static str);

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    told: Vec<Told>,
}

/// Reads an envelope.
///
/// # Errors
/// If it is none.
pub fn envelope(text: &[u8]) -> Result<(), Departure> {
    let mut reader = Reader { text, at: 0, told: Vec::new() };
    reader.envelope()?;
    reader.end()
}

/// Reads a BODYSTRUCTURE, or without `extensions` a BODY, whose data must end where the extensions would begin.
///
/// # Errors
/// If it is none.
pub fn body(text: &[u8], extensions: bool) -> Result<Vec<Told>, Departure> {
    let mut reader = Reader { text, at: 0, told: Vec::new() };
    reader.body(extensions)?;
    reader.end()?;
    Ok(reader.told)
}

impl Reader<'_> {
    fn end(&self) -> Result<(), Departure> {
        if self.at == self.text.len() { Ok(()) } else { Err((self.at, "the end")) }
    }

    fn next(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn expect(&mut self, wanted: &'static str) -> Result<(), Departure> {
        if !self.text[self.at..].starts_with(wanted.as_bytes()) {
            return Err((self.at, wanted));
        }
        self.at += wanted.len();
        Ok(())
    }

    fn nil(&mut self) -> bool {
        self.expect("NIL").is_ok()
    }

    fn number(&mut self) -> Result<u64, Departure> {
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        let number = text.parse().map_err(|_| (self.at, "a number"))?;
        self.at += digits;
        Ok(number)
    }

    fn string(&mut self) -> Result<Vec<u8>, Departure> {
        match self.next() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err((self.at, "a string")),
        }
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Departure> {
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.next().ok_or((self.at, "a closing quote"))?;
            self.at += 1;
            match byte {
                b'"' => return Ok(value),
                b'\\' => {
                    let escaped = self.next().filter(|byte| b"\"\\".contains(byte));
                    value.push(escaped.ok_or((self.at, "a quoted special"))?);
                    self.at += 1;
                }
                0 | b'\r' | b'\n' | 0x80.. => return Err((self.at - 1, "a text character")),
                _ => value.push(byte),
            }
        }
    }

    fn literal(&mut self) -> Result<Vec<u8>, Departure> {
        self.at += 1;
        let length = self.number()? as usize;
        self.expect("}\r\n")?;
        let value = self.text.get(self.at..self.at + length).ok_or((self.at, "the literal's bytes"))?;
        if value.contains(&0) {
            return Err((self.at, "no NUL"));
        }
        self.at += length;
        Ok(value.to_vec())
    }

    fn nstring(&mut self) -> Result<Option<Vec<u8>>, Departure> {
        if self.nil() { Ok(None) } else { self.string().map(Some) }
    }

    /// env-date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to, message-id
    fn envelope(&mut self) -> Result<(), Departure> {
        self.expect("(")?;
        self.nstring()?;
        self.expect(" ")?;
        self.nstring()?;
        for _ in 0..6 {
            self.expect(" ")?;
            self.addresses()?;
        }
        self.expect(" ")?;
        self.nstring()?;
        self.expect(" ")?;
        self.nstring()?;
        self.expect(")")
    }

    /// "(" 1*address ")" / nil, groups opened and closed in turn
    fn addresses(&mut self) -> Result<(), Departure> {
        if self.nil() {
            return Ok(());
        }
        self.expect("(")?;
        let mut in_group = false;
        while self.next() == Some(b'(') {
            self.at += 1;
            self.nstring()?;
            self.expect(" ")?;
            self.nstring()?;
            self.expect(" ")?;
            let mailbox = self.nstring()?;
            self.expect(" ")?;
            if self.nstring()?.is_none() {
                if mailbox.is_some() == in_group {
                    return Err((self.at, "groups in turn"));
                }
                in_group = mailbox.is_some();
            } else if mailbox.is_none() {
                return Err((self.at, "a mailbox before a host"));
            }
            self.expect(")")?;
        }
        if in_group { Err((self.at, "the group's end")) } else { self.expect(")") }
    }

    fn body(&mut self, extensions: bool) -> Result<(), Departure> {
        self.expect("(")?;
        let at = self.told.len();
        self.told.push(Told {
            media_type: b"multipart".to_vec(),
            subtype: Vec::new(),
            octets: None,
            lines: None,
        });
        if self.next() == Some(b'(') {
            while self.next() == Some(b'(') {
                self.body(extensions)?;
            }
            self.expect(" ")?;
            self.told[at].subtype = self.string()?;
            if extensions {
                self.expect(" ")?;
                self.parameters()?;
            }
        } else {
            self.single(at, extensions)?;
        }
        if extensions {
            self.extensions()?;
        }
        self.expect(")")
    }

    fn single(&mut self, at: usize, extensions: bool) -> Result<(), Departure> {
        let media_type = self.string()?.to_ascii_lowercase();
        self.expect(" ")?;
        let subtype = self.string()?.to_ascii_lowercase();
        self.expect(" ")?;
        self.parameters()?;
        self.expect(" ")?;
        self.nstring()?;
        self.expect(" ")?;
        self.nstring()?;
        self.expect(" ")?;
        self.string()?;
        self.expect(" ")?;
        self.told[at].octets = Some(self.number()?);
        if media_type == b"message" && (subtype == b"rfc822" || subtype == b"global") {
            self.expect(" ")?;
            self.envelope()?;
            self.expect(" ")?;
            self.body(extensions)?;
            self.expect(" ")?;
            self.told[at].lines = Some(self.number()?);
        } else if media_type == b"text" {
            self.expect(" ")?;
            self.told[at].lines = Some(self.number()?);
        }
        if media_type == b"multipart" {
            return Err((self.at, "parts in a multipart"));
        }
        (self.told[at].media_type, self.told[at].subtype) = (media_type, subtype);
        if extensions {
            self.expect(" ")?;
            self.nstring()?;
        }
        Ok(())
    }

    /// "(" string SP string *(SP string SP string) ")" / nil
    fn parameters(&mut self) -> Result<(), Departure> {
        if self.nil() {
            return Ok(());
        }
        self.expect("(")?;
        loop {
            self.string()?;
            self.expect(" ")?;
            self.string()?;
            if self.expect(")").is_ok() {
                return Ok(());
            }
            self.expect(" ")?;
        }
    }

    /// SP disposition SP language SP location
    fn extensions(&mut self) -> Result<(), Departure> {
        self.expect(" ")?;
        if !self.nil() {
            self.expect("(")?;
            self.string()?;
            self.expect(" ")?;
            self.parameters()?;
            self.expect(")")?;
        }
        self.expect(" ")?;
        if self.expect("(").is_ok() {
            self.string()?;
            while self.expect(")").is_err() {
                self.expect(" ")?;
                self.string()?;
            }
        } else {
            self.nstring()?;
        }
        self.expect(" ")?;
        self.nstring().map(|_| ())
    }
}
