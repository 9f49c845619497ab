"""What the sidecar's interpreter is started with: makes this package importable by its name, and nothing beside it."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def load_package() -> None:
    """Import the package from this folder."""
    here = Path(__file__).parent
    spec = spec_from_file_location("guardrails_sidecar", here / "__init__.py", submodule_search_locations=[str(here)])
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["guardrails_sidecar"] = module_from_spec(spec)
    spec.loader.exec_module(package)
    # Python puts the folder of its script first, where our modules would shadow others of their names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here.resolve()]


if __name__ == "__main__":
    load_package()
    from guardrails_sidecar.server import main

    sys.exit(main(sys.argv[1:]))
