"""pytest plugin: what nbval executes is kept, so that the book is built from it: pytest --nbval -p keep_outputs.

A notebook all of whose cells ran is written to `_build/executed`, with the state of its widgets, the key of what its
outputs depend on, and the seconds it took. nbval compares as it always does; nothing of that is changed here.
"""

import time

import nbformat
import pytest
from chapters import EXECUTED, chapter_key, write_whole
from kernels import chapter_client, code_cells, faults
from nbval.plugin import IPyNbFile

PATIENCE = 60  # seconds that a busy machine may take to hand over the outputs of a cell that is done


class KeptNotebook(IPyNbFile):
    """nbval's notebook, which keeps what it executed."""

    def collect(self):
        """Collect the cells, as nbval does."""
        self.items = list(super().collect())
        for item in self.items:
            item.output_timeout = PATIENCE
        return self.items

    def setup(self):
        """Start the kernel; nbclient's own bookkeeping follows the widgets."""
        self.client = chapter_client(self.nb)
        self.client.reset_execution_trackers()
        self.key, self.begun = chapter_key(self.path.with_suffix(".md")), time.perf_counter()
        super().setup()

    def get_kernel_message(self, timeout=None, stream="iopub"):
        """Hand a message to nbval, after a look at whether it changes a widget."""
        message = super().get_kernel_message(timeout, stream)
        if message["msg_type"].startswith("comm"):
            self.client.handle_comm_msg([], message, 0)
        return message

    def teardown(self):
        """Write what ran, if all of it did."""
        seconds = time.perf_counter() - self.begun
        super().teardown()
        if any(item.test_outputs is None for item in self.items):
            return
        notebook = nbformat.from_dict(self.nb)
        for number, (cell, item) in enumerate(zip(code_cells(notebook), self.items, strict=True), 1):
            cell.outputs, cell.execution_count = item.test_outputs, number
        if faults(notebook):
            return
        self.client.nb = notebook
        self.client.set_widgets_metadata()
        notebook.metadata.executed = {"key": self.key, "seconds": seconds}
        EXECUTED.mkdir(parents=True, exist_ok=True)
        write_whole(EXECUTED / self.path.name, nbformat.writes(notebook))


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Put the notebook that keeps its outputs in nbval's place."""
    found = yield
    keep = lambda one: KeptNotebook.from_parent(parent, path=file_path) if isinstance(one, IPyNbFile) else one  # noqa: E731
    return [keep(one) for one in found]
