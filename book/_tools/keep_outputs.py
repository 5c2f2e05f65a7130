"""pytest plugin: what nbval executes is kept, so that the book is built from it: pytest --nbval -p keep_outputs.

The solutions of a chapter (solutions/NAME.ipynb) follow it in its kernel, since they go on from its variables. What is
on a page whose cells all ran is written to `_build/executed`, with the state of its widgets, the key of what its
outputs depend on, and the seconds it took. nbval compares as it always does; nothing of that is changed here.
"""

import time

import jupytext
import nbformat
import pytest
from chapters import EXECUTED, ONLY, chapter_key, write_whole
from kernels import ask_for_twins, chapter_client, faults, in_page_order
from nbval.plugin import IPyNbFile

PATIENCE = 60  # seconds that a busy machine may take to hand over the outputs of a cell that is done


def drop_labs(widgets):
    """Take a lab out of the state of a page's widgets: there the same is no widget, and its front end is not loaded."""
    for stored in widgets.values():
        models = stored["state"]
        stored["state"] = {name: one for name, one in models.items() if one["model_module"] != "anywidget"}


class Watched(IPyNbFile):
    """nbval's notebook; it keeps its cells in mind, and a client follows what they do to widgets."""

    def collect(self):
        """Collect the cells, as nbval does."""
        self.items = list(super().collect())
        for item in self.items:
            item.output_timeout = PATIENCE
        return self.items

    def get_kernel_message(self, timeout=None, stream="iopub"):
        """Hand a message to nbval, after a look at whether it changes a widget."""
        message = super().get_kernel_message(timeout, stream)
        if message["msg_type"].startswith("comm"):
            self.client.handle_comm_msg([], message, 0)
        return message


class Solutions(Watched):
    """The solutions of a chapter; its kernel is that of the chapter, which has just run."""

    def setup(self):
        """Take the chapter's kernel."""
        self.kernel, self.client = self.parent.kernel, self.parent.client
        self.setup_sanitize_files()

    def teardown(self):
        """Leave the kernel to the chapter."""


class Chapter(Watched):
    """A chapter, which keeps what was executed of its page."""

    solutions = None

    def collect(self):
        """Collect the cells, and then those of the solutions."""
        yield from super().collect()
        path = self.path.parent / "solutions" / self.path.name
        if path.exists():
            self.solutions = Solutions.from_parent(self, path=path, nodeid=f"{self.nodeid}::solutions")
            yield self.solutions

    def setup(self):
        """Start the kernel; nbclient's own bookkeeping follows the widgets."""
        ask_for_twins()
        self.client = chapter_client(self.nb)
        self.client.reset_execution_trackers()
        self.key, self.begun = chapter_key(self.path.with_suffix(".md")), time.perf_counter()
        super().setup()

    def teardown(self):
        """Write what ran, if all of it did."""
        seconds = time.perf_counter() - self.begun
        super().teardown()
        items = [*self.items, *getattr(self.solutions, "items", [])]
        if any(item.test_outputs is None for item in items):
            return
        notebook = nbformat.v4.new_notebook(metadata=self.nb.metadata)
        page, outputs = (
            jupytext.read(self.path.with_suffix(".md")),
            {id(item.cell): item.test_outputs for item in items},
        )
        for cell in in_page_order([item.cell for item in items], page):
            if ONLY not in cell.metadata.get("tags", []):
                number = len(notebook.cells) + 1
                done = cell | {"outputs": outputs[id(cell)], "execution_count": number}
                notebook.cells.append(nbformat.from_dict(done))
        if faults(notebook):
            return
        self.client.nb = notebook
        self.client.set_widgets_metadata()
        if "widgets" in notebook.metadata:
            drop_labs(notebook.metadata.widgets)
        notebook.metadata.executed = {"key": self.key, "seconds": seconds}
        EXECUTED.mkdir(parents=True, exist_ok=True)
        write_whole(EXECUTED / self.path.name, nbformat.writes(notebook))


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Put the notebook that keeps its outputs in nbval's place."""
    found = yield
    keep = lambda one: Chapter.from_parent(parent, path=file_path) if isinstance(one, IPyNbFile) else one  # noqa: E731
    return [keep(one) for one in found]
