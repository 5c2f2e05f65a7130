# Every target calls a small Python script that runs on Windows too: see README.md.
PYTHON ?= python3
NCSN_TORCH ?= $(TORCH)
export NCSN_TORCH
ifeq ($(OS),Windows_NT)
VENV := .venv/Scripts/python
else
VENV := .venv/bin/python
endif

.DEFAULT_GOAL := help
.PHONY: help setup book pdf test lab sheet exam serve refresh clean

help:
	@echo "make book     set up .venv and build the book, every chapter executed, into _build/html"
	@echo "make pdf      print the built book as one PDF, _build/ncsn_book.pdf, by a Chromium"
	@echo "make test     set up and run every check: ruff, mypy, pytest, the strict build, a browser, nbval"
	@echo "make lab      open the chapters in JupyterLab, as copies of yours"
	@echo "make lab RESTORE=05_langevin_dynamics  a chapter as it was; yours is kept beside it"
	@echo "make sheet WEEK=2  write a week's graded exercises as a notebook, into _build/sheets"
	@echo "make exam SEED=1  draw an exam and its key, into _build/teacher"
	@echo "make serve    show the built book on localhost"
	@echo "make refresh  execute the chapters that changed and write their notebooks"
	@echo "make clean    remove what was built (the environment stays)"
	@echo "Another Python: make PYTHON=python3.12 book. A smaller torch, without CUDA: make TORCH=cpu book."
	@echo "Some checks only: make test CHECKS=\"lint unit\""

setup:
	@$(PYTHON) book/_tools/setup.py

book: setup
	@$(VENV) book/_tools/build.py

pdf: book
	@$(VENV) book/_tools/pdf.py

test: setup
	@$(VENV) book/_tools/check.py $(CHECKS)

lab: setup
	@$(VENV) book/_tools/lab_copies.py $(if $(RESTORE),--restore "$(RESTORE)")

sheet: setup
	@$(VENV) book/_tools/sheet.py $(if $(WEEK),--week "$(WEEK)") $(if $(IDS),--ids $(IDS))

exam: setup
	@$(VENV) book/_tools/exam.py --seed "$(SEED)"

serve: setup
	@$(VENV) book/_tools/serve.py

refresh: setup
	@$(VENV) book/_tools/refresh.py $(CHAPTERS)

clean:
	@$(PYTHON) book/_tools/clean.py
