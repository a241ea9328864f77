"""What developers of clients read: each protocol as AsyncAPI, the HTTP side as OpenAPI, both as pages.

``model``     what a slice says of itself: messages, stories, errors, phases, HTTP endpoints
``schemas``   JSON Schemas from the types that the server decodes with
``asyncapi``  a description as an AsyncAPI 3.0 document
``openapi``   endpoints as an OpenAPI 3.1 document
``yaml``      JSON values as YAML
``text``      the few marks of descriptions, as HTML
``diagram``   states and their transitions as SVG
``pages``     a description as a page
``resource``  all of it over HTTP, built when it is first asked for

A slice describes itself in its ``document.py``; `realtime.protocols.documents` brings them together.
"""
