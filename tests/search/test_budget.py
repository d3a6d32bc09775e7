"""What a search may hold in memory: how it is given, and that the plan made of it keeps to it."""

import dataclasses
import tracemalloc

import pytest

from dynsys.search.budget import DEFAULT, Budget, Plan, bytes_of

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (None, DEFAULT),
        (1000, 1000),
        ("1000", 1000),
        ("4GiB", 4 * GIB),
        ("4gib", 4 * GIB),
        (" 4 GiB ", 4 * GIB),
        ("0.5GiB", GIB // 2),
        ("500MB", 500 * 10**6),
        ("500 MiB", 500 * 2**20),
        ("2GB", 2 * 10**9),
        ("1.5KiB", 1536),
        ("3kB", 3000),
    ],
)
def test_sizes_are_read_as_people_write_them(memory, expected):
    assert bytes_of(memory) == expected


@pytest.mark.parametrize("memory", ["", "GiB", "4 GiB or so", "-4GiB", "0", 0, -5, "4TB", "1e9", "nan", "1,5GiB", [4]])
def test_anything_else_is_refused_with_an_example(memory):
    with pytest.raises(ValueError, match=r"^memory is .*; give bytes, or a size like 4GiB or 500MB$"):
        bytes_of(memory)


SIZES = [1, 2, 16, 64, 65, 128, 129, 256, 512, 513, 1024, 2048]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("krylov", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_plan_is_as_large_as_its_memory_and_no_larger(n, krylov, workers):
    """Whatever holds the Jacobians of a wave holds at least one of them per start, in each worker."""
    for size in (GIB // 4, GIB, 8 * GIB):
        try:
            plan = Budget(size, workers).plan(n, krylov)
        except ValueError:
            assert size < 64 * 8 * n**2  # many times a Jacobian
            continue
        assert 1 <= plan.wave <= plan.round
        held_per_start = 8 * n if krylov and n > 128 else 8 * n**2
        assert 1 <= plan.workers <= workers
        assert plan.wave * held_per_start * plan.workers <= size
        assert plan.jacobians * 8 * n**2 <= size


def test_more_memory_never_makes_a_smaller_plan():
    for n in SIZES:
        plans = [Budget(2**k, 1).plan(n, True) for k in range(28, 36)]
        for key in ("wave", "round", "jacobians"):
            values = [getattr(plan, key) for plan in plans]
            assert values == sorted(values)


def test_the_waves_do_not_depend_on_the_number_of_workers():
    """So that the same seed gives the same numbers on any number of them: where memory is short, fewer work at once."""
    for n in SIZES:
        for size in (GIB, 16 * GIB):
            one, four = (Budget(size, workers).plan(n, True) for workers in (1, 4))
            assert dataclasses.replace(four, workers=1) == one
    assert Budget(GIB // 4, 4).plan(4096, True).workers < 4


def test_large_networks_need_no_jacobians():
    """4096 units within 8 GiB: one dense factorisation per start would take 0.8 GB and more."""
    plan = Budget(8 * GIB, 2).plan(4096, krylov=True)
    assert plan.jacobians == 0
    assert plan.wave >= 16


def test_where_not_one_start_fits_it_says_what_one_takes_and_what_to_do():
    with pytest.raises(ValueError, match=r"^memory is 8192 KiB; one start of 1000 .* takes 46 MiB: give at least that"):
        Budget(8 * 2**20, 2).plan(1000, krylov=False)


def test_a_plan_is_made_without_allocating_it():
    tracemalloc.start()
    assert isinstance(Budget(64 * GIB, 1).plan(4096, krylov=True), Plan)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
