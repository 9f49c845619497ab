"""`/docs`: the endpoints on one page that fetches nothing from anywhere."""

import html
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>SynthralOS API</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
section {{ border-top: 1px solid #8884; padding: .5rem 0 }}
code {{ font: .9em ui-monospace, monospace; overflow-wrap: anywhere }}
h2 {{ font-size: 1rem; margin: .5rem 0 0 }} p {{ margin: .25rem 0 }} small {{ opacity: .8 }}
</style></head><body><main><h1>SynthralOS API {version}</h1>
<p>LLM work as durable jobs. Send <code>Authorization: Bearer sk-syn-…</code>. Errors are problem documents
(RFC 9457). The whole description, for tools: <a href="/openapi.json">/openapi.json</a>.</p>
{operations}</main></body></html>
"""
_OPERATION = """<section><h2><code>{method} {path}</code></h2><p>{description}</p>{parameters}
<p><small>Answers: {answers}</small></p></section>
"""


def page(document: dict[str, Any]) -> str:
    """The page made of an OpenAPI document."""
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return _PAGE.format(version=html.escape(document["info"]["version"]), operations="".join(operations))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    names = [f"<code>{html.escape(p['name'])}</code> ({p['in']})" for p in operation.get("parameters", ())]
    answers = [f"{status} {html.escape(r['description'])}" for status, r in operation["responses"].items()]
    return _OPERATION.format(
        method=method.upper(),
        path=html.escape(path),
        description=html.escape(operation.get("description") or operation.get("summary", "")),
        parameters=f"<p><small>Takes: {', '.join(names)}</small></p>" if names else "",
        answers="; ".join(answers),
    )
