"""The check of annotations in the tests; conftest.py applies it to packages whose annotations state array shapes."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number is a float too, as for mypy
