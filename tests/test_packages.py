"""What importing costs, and that the rooms do not lean on each other."""

import json
import subprocess
import sys

import grimp

ROOMS = ("importance", "datasets", "stream", "trainer", "storage", "monitoring", "experiments", "weir")


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after ``statement``."""
    code = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout))


def test_importing_importance_loads_neither_torch_nor_faust() -> None:
    loaded = modules_after(
        "import importance.attribution, importance.reservoir, importance.quality, importance.drift.registry"
    )
    assert not loaded & {"torch", "faust", "transformers", "sqlalchemy", "prometheus_client", "kafka"}


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    loaded = modules_after("import weir.cli")
    assert not loaded & {"torch", "faust", "transformers", "sqlalchemy"}


def test_there_is_no_import_cycle() -> None:
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    cycles = []
    for module in sorted(graph.modules):
        for imported in graph.find_modules_directly_imported_by(module):
            if module in graph.find_downstream_modules(module) or graph.find_shortest_chain(imported, module):
                cycles.append((module, imported))
    assert cycles == []


def test_the_command_line_leans_on_the_rest_and_never_the_other_way_round() -> None:
    graph = grimp.build_graph("weir", cache_dir=None)
    commands = {"weir.cli", *graph.find_descendants("weir.cli")}
    importers = {importer for module in commands for importer in graph.find_modules_that_directly_import(module)}
    assert importers - commands == {"weir.__main__"}


def test_heavy_libraries_stay_in_their_rooms() -> None:
    graph = grimp.build_graph(*ROOMS, include_external_packages=True, cache_dir=None)
    allowed = {
        "torch": ("importance.estimators", "trainer", "experiments"),  # the benchmark has learners of its own
        "transformers": ("trainer", "experiments"),
        "sqlalchemy": ("storage",),
        "faust": ("stream",),
        "prometheus_client": ("monitoring",),
        "grafana_foundation_sdk": ("monitoring.dashboards",),
        "kafka": ("stream",),
        "aiokafka": ("stream",),
        "pyarrow": ("datasets", "experiments", "weir.scoring"),
        "fastapi": ("weir.api",),
    }
    strays = [
        (library, importer)
        for library, rooms in allowed.items()
        if library in graph.modules
        for importer in graph.find_modules_that_directly_import(library)
        if not importer.startswith(rooms)
    ]
    assert strays == []
