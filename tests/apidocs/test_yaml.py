"""The YAML that is written reads as what it was written from, by another's reader."""

from __future__ import annotations

import yaml as reader
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.documents import yaml

# PyYAML reads YAML 1.1, which has no characters outside these; JSON's escapes say the others.
_TEXTS = st.text() | st.sampled_from(
    [
        "",
        "yes",
        "No",
        "null",
        "~",
        "1",
        "1.0",
        "0x1F",
        "1e3",
        "a: b",
        "a #b",
        "- a",
        "a\n",
        "\na",
        " a",
        "a\n\nb",
        "a\n b",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


class YamlTests(SynchronousTestCase):
    """`dump`."""

    @given(_VALUES)
    def test_round_trip(self, value: object) -> None:
        """Whatever JSON can hold comes back as it was."""
        self.assertEqual(reader.safe_load(yaml.dump(value)), value)

    def test_looks(self) -> None:
        """Plain words are plain, longer texts stand in lines, short lists in one."""
        value = {
            "title": "talk",
            "text": "One.\n\n`two`",
            "list": ["a", "b"],
            "deep": [{"$ref": "#/a"}, {"b": {"c": []}}],
        }
        expected = (
            "title: talk\ntext: |-\n  One.\n\n  `two`\nlist: [a, b]\n"
            'deep:\n  - {$ref: "#/a"}\n  - b:\n      c: []\n'
        )
        self.assertEqual(yaml.dump(value), expected)
