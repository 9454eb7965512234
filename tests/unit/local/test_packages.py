import pytest

from deploy.local import packages
from deploy.local.errors import PrerequisiteMissing
from deploy.local.profile import AWKWARD


def test_nothing_is_missing_where_every_program_is_found() -> None:
    assert packages.missing(packages.PROGRAMS, lambda program: program) == []


def test_a_package_is_named_once_however_many_of_its_programs_are_missing() -> None:
    programs = {"nsenter": "util-linux", "setpriv": "util-linux", "ip": "iproute2"}
    assert packages.missing(programs, lambda _: None) == ["iproute2", "util-linux"]


def test_programs_of_the_superuser_are_found_although_they_are_not_on_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert packages.find("sh") is not None
    assert packages.find("/etc/passwd") == "/etc/passwd"
    assert packages.find("/etc/no-such-file") is None
    assert packages.find("no-such-program") is None


def test_where_nothing_can_be_installed_one_message_lists_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packages, "find", lambda _: None)
    with pytest.raises(PrerequisiteMissing) as refused:
        packages.install_missing()
    for package in packages.PROGRAMS.values():
        assert package in str(refused.value)
    assert "docker-registry" not in str(refused.value)
    with pytest.raises(PrerequisiteMissing, match="docker-registry"):
        packages.install_missing(AWKWARD.packages)
