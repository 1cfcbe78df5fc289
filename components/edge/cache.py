"""What is kept at the edge: files that never change, pages as their origin says, and nothing of the API."""

from components.edge.expression import HOST, PATH, one_of
from components.edge.rules import Rule
from components.edge.shape import Shape


def cache_rules(shape: Shape) -> list[Rule]:
    """The cache rules of a zone. All that fit apply, and the last one wins.

    How long something is kept, its origin says: the frontend marks what has a digest in its name as immutable
    for a year, and its pages `no-cache`, so that they are kept and asked about each time. Only whoever made
    a file knows which one it is, and a year on a wrong answer (404 during a release) could not be taken back.

    Args:
        shape: the stack.
    """
    site = HOST.equals(shape.site)
    rules = [
        Rule(
            "pages",
            "kept as the frontend says, and not at all where it says nothing",
            site,
            "set_cache_settings",
            parameters={
                "cache": True,
                "edge_ttl": {"mode": "bypass_by_default"},
                "browser_ttl": {"mode": "respect_origin"},
            },
        )
    ]
    if shape.assets:
        rules.append(
            Rule(
                "assets",
                "files whose name changes with their content",
                site & one_of(PATH.starts_with(each) for each in shape.assets),
                "set_cache_settings",
                parameters={
                    "cache": True,
                    "edge_ttl": {"mode": "respect_origin"},
                    "browser_ttl": {"mode": "respect_origin"},
                    # Nobody gets a page kept by asking for it under an asset's name.
                    "cache_key": {"cache_deception_armor": True},
                },
            )
        )
    others = [host for host in shape.hosts if host != shape.site]
    if others:
        rules.append(
            Rule(
                "never",
                "answers that are somebody's own",
                HOST.one_of(*others),
                "set_cache_settings",
                parameters={"cache": False},
            )
        )
    return rules
