//! What a name may stand for, after every answer that was given.

use bytes::Bytes;

/// What a gateway answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 201: written and acknowledged.
    Created,
    /// 202: released.
    Released,
    /// 200 or 206: the bytes; to a write: the name has these bytes.
    Ok,
    /// 404.
    NotFound,
    /// 409: the name has other bytes.
    Differs,
    /// 409: an unfinished write of other bytes has the name.
    Unfinished,
    /// 412: there is a certified blob.
    Certified,
    /// 503, with its reason.
    Unavailable(String),
    /// No whole answer.
    None,
}

/// What one name may stand for. Only one worker writes it, one request after the other, but for
/// duels.
#[derive(Debug, Clone)]
pub struct Book {
    name: String,
    /// Contents that the name may have. One that is in doubt may appear at any time.
    contents: Vec<Content>,
    /// The name may have no content.
    may_be_absent: bool,
    /// A release was sent, and may lie on too few nodes.
    release_in_doubt: bool,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Bytes,
    /// Written while a release was in doubt: maybe under a later claim than all others.
    is_later: bool,
}

impl Book {
    /// A name that was never written.
    pub const fn new(name: String) -> Self {
        Self { name, contents: Vec::new(), may_be_absent: true, release_in_doubt: false }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A content that it may have.
    pub fn any_content(&self) -> Option<Bytes> {
        self.contents.last().map(|content| content.bytes.clone())
    }

    /// Whether it has no content for sure, and nothing is in doubt.
    pub fn is_free(&self) -> bool {
        self.contents.is_empty() && !self.release_in_doubt
    }

    /// The content that it has for sure.
    pub fn certain(&self) -> Option<Bytes> {
        let is_certain = !self.may_be_absent && !self.release_in_doubt && self.contents.len() == 1;
        self.any_content().filter(|_| is_certain)
    }

    /// Whether it may have this content.
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.contents.iter().any(|content| content.bytes == bytes)
    }

    fn add(&mut self, bytes: Bytes) {
        match self.contents.iter_mut().find(|content| content.bytes == bytes) {
            Some(content) => content.is_later |= self.release_in_doubt,
            None => self.contents.push(Content { bytes, is_later: self.release_in_doubt }),
        }
    }

    fn settle(&mut self, bytes: Bytes) {
        assert!(self.may_be_absent, "{}: a second content was acknowledged", self.name);
        self.contents = vec![Content { bytes, is_later: false }];
        (self.may_be_absent, self.release_in_doubt) = (false, false);
    }

    /// A write was answered.
    pub fn put(&mut self, bytes: Bytes, answer: &Answer) {
        match answer {
            Answer::Created => self.settle(bytes),
            Answer::Ok => {
                assert!(self.has(&bytes), "{}: it never had these bytes", self.name);
                if !self.release_in_doubt {
                    // The answer stands on a quorum's word that it is certified, not on n-f
                    // acknowledgements: what was in doubt stays so.
                    self.contents.retain(|content| content.bytes == bytes);
                }
            }
            Answer::Differs => {
                let others = self.contents.iter().any(|content| content.bytes != bytes);
                assert!(others, "{}: it never had other bytes", self.name);
            }
            // Nothing was certified, and nothing will be: but nobody but the nodes knows.
            Answer::Unfinished | Answer::Unavailable(_) | Answer::None if self.may_be_absent => {
                self.add(bytes);
            }
            Answer::Unfinished => panic!("{}: it has a content", self.name),
            Answer::Unavailable(_) | Answer::None => {}
            other => panic!("{}: a write is answered with {other:?}", self.name),
        }
    }

    /// Two writes of a free name at one time were answered.
    pub fn duel(&mut self, (one, first): (Bytes, &Answer), (other, second): (Bytes, &Answer)) {
        let written = |answer: &Answer| matches!(answer, Answer::Created);
        let both = written(first) && written(second);
        assert!(!both || one == other, "{}: two contents were acknowledged", self.name);
        if written(first) {
            self.settle(one);
        } else if written(second) {
            self.settle(other);
        } else {
            // It may have been seen by the other although it was not acknowledged.
            self.add(one);
            self.add(other);
        }
    }

    /// A read was answered.
    pub fn read(&self, range: Option<(u64, u64)>, answer: &Answer, body: Option<&Bytes>) {
        match (answer, body) {
            (Answer::Ok, Some(body)) => {
                let part = |content: &Content| match range {
                    None => Some(content.bytes.clone()),
                    Some((first, last)) => {
                        let end = usize::try_from(last + 1).unwrap().min(content.bytes.len());
                        let first = usize::try_from(first).unwrap();
                        (first < end).then(|| content.bytes.slice(first..end))
                    }
                };
                let is_true =
                    self.contents.iter().any(|content| part(content).as_ref() == Some(body));
                assert!(is_true, "I2: {} never had these {} bytes", self.name, body.len());
            }
            (Answer::NotFound, _) => {
                assert!(self.may_be_absent, "I1: {} was acknowledged and is not found", self.name);
            }
            (Answer::Unavailable(_) | Answer::None, _) => {}
            other => panic!("{}: a read is answered with {other:?}", self.name),
        }
    }

    /// A deletion was answered.
    pub fn delete(&mut self, answer: &Answer) {
        match answer {
            Answer::Released => {
                assert!(!self.contents.is_empty(), "{}: it had no content", self.name);
                self.released();
            }
            Answer::NotFound => {
                assert!(self.may_be_absent, "I1: {} was acknowledged and is not found", self.name);
            }
            Answer::Unavailable(_) | Answer::None => self.release_sent(),
            other => panic!("{}: a deletion is answered with {other:?}", self.name),
        }
    }

    /// The end of an unfinished write was answered.
    pub fn delete_unfinished(&mut self, answer: &Answer) {
        match answer {
            Answer::Released => self.released(),
            Answer::Certified => {
                assert!(!self.contents.is_empty(), "{}: nothing was written", self.name);
            }
            Answer::Unavailable(_) | Answer::None => self.release_sent(),
            other => panic!("{}: the end of a write is answered with {other:?}", self.name),
        }
    }

    /// What it had before was brought back.
    pub fn undeleted(&mut self, bytes: Bytes) {
        self.settle(bytes);
    }

    /// What it had before may have been brought back, or may be at any time.
    pub fn undelete_sent(&mut self, bytes: Bytes) {
        if self.may_be_absent {
            self.add(bytes);
        }
    }

    /// So much time passes that the next claim of the name may be of another id: a release of one
    /// that is in doubt need not cover it.
    pub fn ages(&mut self) {
        let is_in_doubt = self.may_be_absent;
        self.contents.iter_mut().for_each(|content| content.is_later |= is_in_doubt);
    }

    fn released(&mut self) {
        self.contents.retain(|content| content.is_later);
        self.may_be_absent = true;
        self.release_in_doubt = !self.contents.is_empty();
    }

    fn release_sent(&mut self) {
        self.may_be_absent = true;
        self.release_in_doubt = true;
    }
}
