//! Which channels a handler is set for: a name, a pattern, or a template such as `/game/{id}/move`.

use crate::protocol::{ChannelName, InvalidChannel};

/// What a handler is set for.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Pattern(ChannelName),
    Template(Template),
}

/// A name with parameters: segments in braces, each of which stands for any one segment.
#[derive(Clone, Debug)]
pub(super) struct Template(ChannelName);

impl Target {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidChannel> {
        let name = ChannelName::parse(text)?;
        if name.is_meta() {
            return Err(InvalidChannel::NotAllowedHere);
        }
        let mut parameters: Vec<&str> = segments(name.as_str()).filter_map(parameter).collect();
        if parameters.is_empty() {
            return Ok(Self::Pattern(name));
        }
        let count = parameters.len();
        parameters.sort_unstable();
        parameters.dedup();
        if parameters.len() < count || name.is_wild() {
            return Err(InvalidChannel::BadTemplate);
        }
        Ok(Self::Template(Template(name)))
    }

    pub(super) fn matches(&self, channel: &str) -> bool {
        match self {
            Self::Pattern(name) => name.matches(channel),
            Self::Template(template) => template.matches(channel),
        }
    }

    pub(super) const fn template(&self) -> Option<&Template> {
        match self {
            Self::Pattern(_) => None,
            Self::Template(template) => Some(template),
        }
    }

    /// Sorts those that match the same channel from the root down: `/**`, `/a/**`, `/a/*`, `/a/{x}`, `/a/b`.
    pub(super) fn breadth(&self) -> (u8, usize) {
        match self {
            Self::Pattern(name) => name.breadth(),
            Self::Template(Template(name)) => (2, name.as_str().len()),
        }
    }
}

impl Template {
    fn matches(&self, channel: &str) -> bool {
        let mut theirs = segments(channel);
        let fit = segments(self.0.as_str()).all(|ours| {
            theirs
                .next()
                .is_some_and(|theirs| ours == theirs || parameter(ours).is_some())
        });
        fit && theirs.next().is_none()
    }

    /// Name and value of each parameter, of a channel that matches.
    pub(super) fn parameters<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        segments(self.0.as_str())
            .zip(segments(channel))
            .filter_map(|(ours, theirs)| Some((parameter(ours)?, theirs)))
    }
}

fn segments(name: &str) -> impl Iterator<Item = &str> {
    name.split('/').skip(1)
}

/// The name of a parameter, if the segment is one.
fn parameter(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(template: &str, channel: &str) -> Option<Vec<(String, String)>> {
        let target = Target::parse(template).unwrap();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let template = target.template().unwrap();
        target
            .matches(channel)
            .then(|| template.parameters(channel).map(owned).collect())
    }

    #[test]
    fn a_parameter_stands_for_one_segment() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parameters("/game/{id}/move/{n}", "/game/7/move/e4"),
            Some(vec![pair("id", "7"), pair("n", "e4")])
        );
        for other in ["/game/7/move", "/game/7/move/1/2", "/game/7/stop/1", "/games/7/move/1"] {
            assert_eq!(parameters("/game/{id}/move/{n}", other), None, "{other}");
        }
    }

    #[test]
    fn names_are_told_from_templates_and_bad_ones_refused() {
        for name in ["/a/b", "/a/*", "/a/{}", "/a/x{y}", "/a/{x"] {
            assert!(matches!(Target::parse(name), Ok(Target::Pattern(_))), "{name}");
        }
        for bad in ["/{a}/*", "/{a}/**", "/{a}/{a}"] {
            assert_eq!(Target::parse(bad).unwrap_err(), InvalidChannel::BadTemplate, "{bad}");
        }
        assert_eq!(Target::parse("/meta/{x}").unwrap_err(), InvalidChannel::NotAllowedHere);
    }
}
