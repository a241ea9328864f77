"""The documents, by the official schemas of AsyncAPI and OpenAPI."""

from __future__ import annotations

import json
from typing import Annotated, Any

from jsonschema import Draft7Validator
from msgspec import Meta, Raw, Struct
from openapi_spec_validator import OpenAPIV31SpecValidator
from twisted.trial.unittest import SynchronousTestCase

from realtime.documents import yaml
from realtime.documents.asyncapi import asyncapi
from realtime.documents.model import Of, record
from realtime.documents.schemas import Schemas
from realtime.protocols.documents import DESCRIBED, describe, openapi_of
from tests import node
from tests.apidocs.validation import Validator, read


class OfficialTests(SynchronousTestCase):
    """The documents are what they claim to be."""

    def test_asyncapi(self) -> None:
        """Each protocol's is an AsyncAPI 3.0 document, as it is written."""
        path = node.package_file("@asyncapi/specs/schemas/3.0.0-without-$id.json")
        official = Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
        for name, description in DESCRIBED.items():
            document = read(yaml.dump(asyncapi(description())))
            errors = [
                f"{list(each.absolute_path)}: {each.message[:200]}" for each in official.iter_errors(document)
            ]
            self.assertEqual(errors, [], name)

    def test_openapi(self) -> None:
        """The one of HTTP is an OpenAPI 3.1 document; also that of a server with one protocol."""
        for names in (list(DESCRIBED), ["support"]):
            document: Any = openapi_of(describe(names))
            self.assertEqual([each.message for each in OpenAPIV31SpecValidator(document).iter_errors()], [])

    def test_schemas_are_schemas(self) -> None:
        """Every payload has a schema, whose references lead somewhere."""
        for description in describe(DESCRIBED):
            document = asyncapi(description)
            for message in document["components"]["messages"].values():
                Draft7Validator.check_schema(message["payload"])
            self.assert_leads_somewhere(document, document)
        openapi = openapi_of(describe(DESCRIBED))
        self.assert_leads_somewhere(openapi, openapi)

    def assert_leads_somewhere(self, value: Any, document: Any) -> None:
        """Every reference in a value names something in the document."""
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found = document
                for part in value["$ref"].removeprefix("#/").split("/"):
                    self.assertIn(part, found, value)
                    found = found[part]
            for each in value.values():
                self.assert_leads_somewhere(each, document)
        elif isinstance(value, list):
            for each in value:
                self.assert_leads_somewhere(each, document)

    def test_examples_are_valid(self) -> None:
        """Every example is valid by the schema that it stands beside."""
        for description in describe(DESCRIBED):
            validator = Validator(description, {})
            for message in description.messages:
                for _, payload in description.examples(message.key):
                    validator.check(message.key, payload)


class _Inner(Struct):
    """Has ``code``."""

    name: Annotated[str, Meta(pattern=r"\A[^\x00]*\Z")]


class Outer(Struct, rename="camel"):
    """Holds another."""

    inner_one: _Inner
    data: Raw = Raw(b"null")
    maybe: int | None = None
    often: int = 5


class SchemasTests(SynchronousTestCase):
    """`Schemas`."""

    def setUp(self) -> None:
        """Make the schemas of a type within another."""
        self.shape = record({"type": {"const": 1}, "body": Of(Outer)})
        self.schemas = Schemas([self.shape])

    def test_resolve(self) -> None:
        """A type's place is taken by a reference to its schema, and nothing else changes."""
        resolved = self.schemas.resolve(self.shape)
        self.assertEqual(resolved["properties"]["type"], {"const": 1})
        self.assertEqual(resolved["properties"]["body"], {"$ref": "#/components/schemas/Outer"})

    def test_components(self) -> None:
        """Names and docstrings are for readers, patterns for every language; a null default says nothing."""
        outer, inner = self.schemas.components["Outer"], self.schemas.components["Inner"]
        self.assertEqual(inner["description"], "Has `code`.")
        self.assertEqual(inner["properties"]["name"]["pattern"], r"^[^\x00]*$")
        self.assertEqual(outer["properties"]["innerOne"], {"$ref": "#/components/schemas/Inner"})
        self.assertEqual(outer["properties"]["data"], {})
        self.assertEqual(outer["properties"]["maybe"], {"anyOf": [{"type": "integer"}, {"type": "null"}]})
        self.assertEqual(outer["properties"]["often"], {"type": "integer", "default": 5})
        self.assertEqual(outer["required"], ["innerOne"])
