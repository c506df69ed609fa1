//! Stripe's request parameters: a form whose names carry brackets.
//!
//! `metadata[order]=1&expand[]=latest_charge&items[0][tier]=a` is a tree. [`Params`] reads that tree by *taking*
//! what an endpoint knows; what is left over when [`Params::finish`] is called is a parameter nobody knows, which
//! Stripe refuses, and so does the sandbox: a misspelt parameter must not look as if it worked.
//!
//! Bounds: at most [`PAIRS_MAX`] pairs, [`DEPTH_MAX`] levels.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Pairs in one request, query and body together.
const PAIRS_MAX: usize = 1_000;
/// Levels of brackets.
const DEPTH_MAX: usize = 8;
/// Stripe's limits on metadata: <https://docs.stripe.com/metadata>.
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;

#[derive(Debug, Clone)]
enum Node {
    Text(String),
    Branch(BTreeMap<String, Node>),
}

/// The parameters of a request that no endpoint has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Params {
    nodes: BTreeMap<String, Node>,
    /// Where this sub-tree hangs: `payment_method_data[card]`, empty at the root.
    path: String,
}

impl Params {
    /// Reads `name=value&…`, the query first and the body after it.
    pub(crate) fn parse(query: &str, body: &str) -> Result<Self, Failure> {
        let mut root = BTreeMap::new();
        let pairs = url::form_urlencoded::parse(query.as_bytes()).chain(url::form_urlencoded::parse(body.as_bytes()));
        for (count, (name, value)) in pairs.enumerate() {
            if count >= PAIRS_MAX {
                return Err(Failure::invalid(format!("A request may have at most {PAIRS_MAX} parameters.")));
            }
            insert(&mut root, &segments(&name)?, value.into_owned(), &name)?;
        }
        Ok(Self { nodes: root, path: String::new() })
    }

    /// A fingerprint of method, path and every parameter, whatever their order: what an idempotency key is bound to.
    pub(crate) fn fingerprint(&self, method: &str, path: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(method.as_bytes());
        hash.update([0]);
        hash.update(path.as_bytes());
        hash_nodes(&self.nodes, &mut hash);
        hash.finalize().into()
    }

    /// The full name of a parameter of this sub-tree, as Stripe names it in `param`.
    pub(crate) fn name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.path) }
    }

    /// Takes a string. An empty one counts as not given, which is how Stripe's SDKs unset an optional field.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.text_or_empty(name)?.filter(|text| !text.is_empty()))
    }

    /// Takes a string and keeps an empty one, for updates in which empty means "unset".
    pub(crate) fn text_or_empty(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.nodes.remove(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(Node::Branch(_)) => {
                Err(Failure::invalid("Invalid string: expected a string, not an object.").param(self.name(name)))
            }
        }
    }

    /// Takes a string that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, Failure> {
        let full = self.name(name);
        self.text(name)?.ok_or_else(|| Failure::missing(&full))
    }

    /// Takes an integer.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        let full = self.name(name);
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            Failure::invalid(format!("Invalid integer: {text}")).code("parameter_invalid_integer").param(full)
        })
    }

    /// Takes `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        let full = self.name(name);
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Failure::invalid(format!("Invalid boolean: {other}")).param(full)),
        }
    }

    /// Takes a string that must be one of a few.
    pub(crate) fn one_of(&mut self, name: &str, allowed: &[&'static str]) -> Result<Option<&'static str>, Failure> {
        let full = self.name(name);
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match allowed.iter().find(|word| **word == text) {
            Some(word) => Ok(Some(word)),
            None => {
                let list = allowed.join(", ");
                Err(Failure::invalid(format!("Invalid {full}: must be one of {list}")).param(full))
            }
        }
    }

    /// Whether a name has brackets behind it.
    pub(crate) fn is_branch(&self, name: &str) -> bool {
        matches!(self.nodes.get(name), Some(Node::Branch(_)))
    }

    /// Takes a sub-tree; its own [`Params::finish`] is the caller's duty.
    pub(crate) fn branch(&mut self, name: &str) -> Result<Option<Params>, Failure> {
        let path = self.name(name);
        match self.nodes.remove(name) {
            None => Ok(None),
            Some(Node::Text(text)) if text.is_empty() => Ok(None),
            Some(Node::Text(_)) => Err(Failure::invalid("Invalid object").param(path)),
            Some(Node::Branch(nodes)) => Ok(Some(Params { nodes, path })),
        }
    }

    /// Takes a list of sub-trees, `name[0][x]=a&name[1][x]=b`, in the order of their numbers.
    pub(crate) fn branches(&mut self, name: &str) -> Result<Vec<Params>, Failure> {
        let full = self.name(name);
        let Some(branch) = self.branch(name)? else {
            return Ok(Vec::new());
        };
        let mut entries: Vec<(u64, String, Node)> =
            branch.nodes.into_iter().map(|(at, node)| (at.parse().unwrap_or(u64::MAX), at, node)).collect();
        entries.sort_by(|(one, at, _), (other, behind, _)| (one, at).cmp(&(other, behind)));
        entries
            .into_iter()
            .map(|(_, at, node)| match node {
                Node::Branch(nodes) => Ok(Params { nodes, path: format!("{full}[{at}]") }),
                Node::Text(_) => Err(Failure::invalid("Invalid array").param(full.clone())),
            })
            .collect()
    }

    /// Takes a list of strings, `name[]=a&name[]=b` or `name[0]=a&name[1]=b`.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let full = self.name(name);
        let Some(branch) = self.branch(name)? else {
            return Ok(Vec::new());
        };
        branch
            .nodes
            .into_values()
            .map(|node| match node {
                Node::Text(text) => Ok(text),
                Node::Branch(_) => Err(Failure::invalid("Invalid array").param(full.clone())),
            })
            .collect()
    }

    /// Takes `metadata[…]` within Stripe's limits. An empty value unsets its key; `metadata=` unsets all.
    pub(crate) fn metadata(&mut self) -> Result<MetadataChange, Failure> {
        if matches!(self.nodes.get("metadata"), Some(Node::Text(text)) if text.is_empty()) {
            self.nodes.remove("metadata");
            return Ok(MetadataChange { clear: true, values: BTreeMap::new() });
        }
        let mut values = BTreeMap::new();
        if let Some(branch) = self.branch("metadata")? {
            for (key, node) in branch.nodes {
                let Node::Text(value) = node else {
                    return Err(Failure::invalid("Metadata values must be strings.").param(format!("metadata[{key}]")));
                };
                if key.chars().count() > METADATA_KEY_CHARS_MAX || value.chars().count() > METADATA_VALUE_CHARS_MAX {
                    return Err(Failure::invalid(format!(
                        "Metadata keys may have {METADATA_KEY_CHARS_MAX} characters, values {METADATA_VALUE_CHARS_MAX}."
                    ))
                    .param(format!("metadata[{key}]")));
                }
                values.insert(key, value);
            }
        }
        if values.len() > METADATA_KEYS_MAX {
            return Err(
                Failure::invalid(format!("You may have at most {METADATA_KEYS_MAX} metadata keys.")).param("metadata")
            );
        }
        Ok(MetadataChange { clear: false, values })
    }

    /// Takes `expand[]`.
    pub(crate) fn expand(&mut self) -> Result<Vec<String>, Failure> {
        self.list("expand")
    }

    /// Takes parameters that Stripe knows and that change nothing here.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.nodes.remove(*name);
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let names: Vec<String> = self.nodes.keys().map(|name| self.name(name)).collect();
        match names.as_slice() {
            [] => Ok(()),
            [one] => Err(Failure::unknown_parameter(format!("Received unknown parameter: {one}"), one)),
            [first, ..] => {
                Err(Failure::unknown_parameter(format!("Received unknown parameters: {}", names.join(", ")), first))
            }
        }
    }
}

/// What a request says about `metadata`.
#[derive(Debug, Default, Clone)]
pub(crate) struct MetadataChange {
    clear: bool,
    values: BTreeMap<String, String>,
}

impl MetadataChange {
    /// Applies the change, an empty value removing its key.
    pub(crate) fn apply(self, metadata: &mut BTreeMap<String, String>) {
        if self.clear {
            metadata.clear();
        }
        for (key, value) in self.values {
            if value.is_empty() {
                metadata.remove(&key);
            } else {
                metadata.insert(key, value);
            }
        }
    }

    /// The metadata of a new object.
    pub(crate) fn fresh(self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        self.apply(&mut metadata);
        metadata
    }
}

/// `a[b][]` becomes `["a", "b", ""]`.
fn segments(name: &str) -> Result<Vec<&str>, Failure> {
    let malformed = || Failure::invalid("Invalid parameter name: brackets do not match.").param(name);
    let (head, mut rest) = match name.find('[') {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    let mut parts = vec![head];
    while let Some(inner) = rest.strip_prefix('[') {
        let end = inner.find(']').ok_or_else(malformed)?;
        parts.push(&inner[..end]);
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() || parts.len() > DEPTH_MAX {
        return Err(malformed());
    }
    Ok(parts)
}

fn insert(nodes: &mut BTreeMap<String, Node>, path: &[&str], value: String, name: &str) -> Result<(), Failure> {
    let [head, rest @ ..] = path else {
        return Ok(());
    };
    // Elements of `name[]` are numbered so that they keep their order.
    let key = if head.is_empty() { format!("{:04}", nodes.len()) } else { (*head).to_owned() };
    if rest.is_empty() {
        nodes.insert(key, Node::Text(value));
        return Ok(());
    }
    match nodes.entry(key).or_insert_with(|| Node::Branch(BTreeMap::new())) {
        Node::Branch(inner) => insert(inner, rest, value, name),
        Node::Text(_) => Err(Failure::invalid("Invalid object").param(name)),
    }
}

/// Lengths before texts, so that no two trees hash alike by moving a separator.
fn hash_nodes(nodes: &BTreeMap<String, Node>, hash: &mut Sha256) {
    for (name, node) in nodes {
        hash.update(name.len().to_be_bytes());
        hash.update(name.as_bytes());
        match node {
            Node::Text(text) => {
                hash.update([1]);
                hash.update(text.len().to_be_bytes());
                hash.update(text.as_bytes());
            }
            Node::Branch(inner) => {
                hash.update([2]);
                hash_nodes(inner, hash);
                hash.update([3]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_make_a_tree_and_what_nobody_takes_is_refused() {
        let mut params =
            Params::parse("", "amount=5&expand[]=a&expand[]=b&card[token]=tok_x&metadata[o]=1&odd=1").unwrap();
        assert_eq!(params.integer("amount").unwrap(), Some(5));
        assert_eq!(params.expand().unwrap(), ["a", "b"]);
        assert_eq!(params.branch("card").unwrap().unwrap().required("token").unwrap(), "tok_x");
        assert_eq!(params.metadata().unwrap().fresh()["o"], "1");
        let failure = params.finish().unwrap_err();
        assert_eq!(failure.body("req_1")["error"]["param"], "odd");
    }

    #[test]
    fn the_order_of_parameters_does_not_change_the_fingerprint() {
        let print = |body| Params::parse("", body).unwrap().fingerprint("POST", "/v1/x");
        assert_eq!(print("a=1&b[c]=2"), print("b[c]=2&a=1"));
        assert_ne!(print("a=1&b[c]=2"), print("a=1&b[c]=3"));
        assert_ne!(print("a=1"), print("a=&b=1"));
    }

    #[test]
    fn broken_names_are_refused() {
        for body in ["a[b=1", "a[b]c=1", "a=1&a[b]=2", "a[b][c][d][e][f][g][h][i]=1"] {
            assert!(Params::parse("", body).is_err(), "{body}");
        }
    }
}
