r"""Are two expressions the same? Decided on their difference, with no computer algebra.

1. Numbers that are rational are compared as fractions of any size up to MAX_BITS.
2. What needs only + - * / and whole powers is compared in finite fields at random points
   (Schwartz and Zippel): exact for numbers of any size, up to a chance of 1 in 2^80.
3. All else is evaluated in more and more digits, at real points where it has letters, until the
   difference is larger than its rounding error, or 1,000 digits say that there is none.

Points where an expression is undefined, or real on one side only, say nothing. None stands for
"cannot be decided". Not covered: identities that hold under an assumption other than "x > 0".
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ttc_rl.verifiers.expressions import BINDERS, Tree, difference, symbols

MAX_BITS = 1_000_000
"""Fractions beyond this size are compared in finite fields."""
PRIMES = (2**127 - 1, 2**107 - 1, 2**89 - 1)
DIGITS = (30, 100, 400, 1000)
MAX_TERMS = 2000
"""Of a sum or product that is written out."""
OPAQUE = {"prime", "mark", "norm", "det", "dim", "ker", "tr", "rank", "span"}
"""Functions nobody evaluates: equal where their arguments are."""
ROUGH = {"int", "diff", "lim"}
"""What mpmath approximates: compared in 12 digits."""
INTEGER_HEADS = {"fact", "fact2", "binom", "gcd", "lcm", "mod", "sum", "prod"}
"""Where one of these holds a letter, the letters stand for whole numbers."""
_SURE = 8
"""Digits kept back for rounding errors."""


class UnknownError(Exception):
    """Raised where an expression cannot be evaluated this way."""


class UndefinedError(Exception):
    """Raised where an expression has no value: a division by zero, a logarithm of zero."""


def same(first: Tree, second: Tree, degree: str = "radians") -> bool | None:
    """Return whether two expressions have the same value everywhere; None where that is not
    decided.

    A number is never the same as something without a value, such as 0/0.

    `degree="one"` takes a degree sign outside functions for 1.
    """
    if first == second:
        return True
    if not symbols(first) and not symbols(second):
        verdict = _same_rational(first, second)
        if verdict is not None:
            return verdict
    verdict = _same_in_fields(difference(first, second))
    if verdict is not None:
        return verdict
    return _same_digits(first, second, degree)


def multiple(first: Tree, second: Tree) -> Fraction | bool | None:
    """Return c where first = c * second, for a number c other than 0 that is 1 or -1 in sign only.

    False where there is none, None where that is not decided. Only the sign of c is exact.
    """
    names = sorted(symbols(first) | symbols(second))
    if not names:
        return False
    try:
        points = _field_points(names, PRIMES[0], 4)
        values = [
            tuple(_Field(PRIMES[0], at).value(tree) for tree in (first, second)) for at in points
        ]
        if any(len({pair[side] for pair in values}) == 1 for side in (0, 1)):
            return False  # an equation that holds everywhere or nowhere
        ratios = {a * pow(b, -1, PRIMES[0]) % PRIMES[0] if b else None for a, b in values}
        return False if len(ratios) > 1 or ratios & {None, 0} else _sign(first, second, names)
    except (UnknownError, UndefinedError):
        return _multiple_digits(first, second, names)


def rational(tree: Tree) -> Fraction | None:
    """Return the exact value; None where it is irrational, has letters, is undefined, or far too
    large."""
    try:
        return _exact(tree)
    except (UnknownError, UndefinedError):
        return None


def real(tree: Tree, digits: int = 30) -> Fraction | None:
    """Return the value to `digits` digits; None where it is not a real number."""
    exact = rational(tree)
    if exact is not None:
        return exact
    if symbols(tree) - CONSTANTS:
        return None
    try:
        value = _Digits(digits, {}, "radians").value(tree)
    except (UnknownError, UndefinedError):
        return None
    import mpmath

    with mpmath.workdps(digits):
        if abs(mpmath.im(value)) > abs(value) * mpmath.mpf(10) ** (_SURE - digits):
            return None
        if abs(value) > mpmath.mpf(10) ** 1000:
            return None
        return Fraction(str(mpmath.nstr(mpmath.re(value), digits)))


CONSTANTS = frozenset(["e", "i", r"\pi", r"\infty"])

# --------------------------------------------------------------------------- fractions


def _same_rational(one: Tree, other: Tree) -> bool | None:
    first, second = rational(one), rational(other)
    return None if first is None or second is None else first == second


@functools.lru_cache(maxsize=4096)
def _exact(tree: Tree) -> Fraction:
    head = tree[0]
    if head == "num":
        return tree[1]
    if head == "add":
        return _sized(sum((_exact(part) for part in tree[1:]), Fraction(0)))
    if head == "mul":
        value = Fraction(1)
        for part in tree[1:]:
            value = _sized(value * _exact(part))
        return value
    if head == "pow":
        return _exact_power(_exact(tree[1]), _exact(tree[2]))
    if head == "root":
        degree = _exact(tree[2])
        if degree == 0:
            raise UndefinedError
        return _exact_power(_exact(tree[1]), 1 / degree)
    if head in (
        "fact",
        "binom",
        "gcd",
        "lcm",
        "mod",
        "floor",
        "ceil",
        "abs",
        "max",
        "min",
        "fact2",
    ):
        return _exact_function(head, [_exact(part) for part in tree[1:]])
    if head in ("sum", "prod"):
        return _exact_sum(tree)
    raise UnknownError(head)


def _sized(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise UnknownError("too large")
    return value


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        base = _exact_root(base, exponent.denominator)
    power = exponent.numerator
    if base == 0:
        if power < 0:
            raise UndefinedError
        return Fraction(int(power == 0))
    if base in (1, -1):
        return base if power % 2 else Fraction(1)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(power) > MAX_BITS:
        raise UnknownError("too large")
    return Fraction(base**power)


def _exact_root(value: Fraction, degree: int) -> Fraction:
    """Return the real root where it is rational: of a negative number for odd degrees only."""
    if degree > 64 or (value < 0 and degree % 2 == 0):
        raise UnknownError("no rational root")
    roots = []
    for whole in (abs(value.numerator), value.denominator):
        if whole.bit_length() > 20_000:
            raise UnknownError("too large")
        root = math.isqrt(whole) if degree == 2 else _whole_root(whole, degree)
        if root**degree != whole:
            raise UnknownError("no rational root")
        roots.append(root)
    return Fraction(roots[0] if value >= 0 else -roots[0], roots[1])


def _whole_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def _exact_function(head: str, values: list[Fraction]) -> Fraction:
    if head == "abs":
        return abs(values[0])
    if head in ("floor", "ceil"):
        return Fraction((math.floor if head == "floor" else math.ceil)(values[0]))
    if head in ("max", "min"):
        return (max if head == "max" else min)(values)
    if any(value.denominator != 1 for value in values):
        raise UnknownError("whole numbers only")
    whole = [int(value) for value in values]
    if head == "mod":
        if whole[1] == 0:
            raise UndefinedError
        return Fraction(whole[0] % whole[1])
    if head in ("gcd", "lcm"):
        return Fraction((math.gcd if head == "gcd" else math.lcm)(*whole))
    if min(whole) < 0 or max(whole) > 50_000:
        raise UnknownError("too large")
    if head == "fact":
        return Fraction(math.factorial(whole[0]))
    if head == "fact2":
        return Fraction(math.prod(range(whole[0], 0, -2)))
    return Fraction(math.comb(whole[0], whole[1]))


def _exact_sum(tree: Tree) -> Fraction:
    head, name, low, high, body = tree
    first, last = _exact(low), _exact(high)
    if first.denominator != 1 or last.denominator != 1 or last - first > MAX_TERMS:
        raise UnknownError("not written out")
    value = Fraction(int(head == "prod"))
    for k in range(int(first), int(last) + 1):
        term = _exact(substituted(body, {name: ("num", Fraction(k))}))
        value = _sized(value + term if head == "sum" else value * term)
    return value


def substituted(tree: Tree, values: Mapping[str, Tree]) -> Tree:
    """Return the tree with trees for letters; bound letters stay."""
    if tree[0] == "sym":
        return values.get(tree[1], tree)
    if tree[0] in BINDERS:
        values = {name: value for name, value in values.items() if name != tree[1]}
    return tuple(substituted(part, values) if isinstance(part, tuple) else part for part in tree)


# --------------------------------------------------------------------------- finite fields


def _same_in_fields(tree: Tree) -> bool | None:
    """Return whether a tree is zero, in three fields at two random points each."""
    names = sorted(symbols(tree))
    try:
        for prime in PRIMES:
            for point in _field_points(names, prime, 2 if names else 1):
                if _Field(prime, point).value(tree):
                    return False
    except (UnknownError, UndefinedError):
        return None
    return True


def _field_points(names: Sequence[str], prime: int, count: int) -> list[dict[str, int]]:
    rng = random.Random(f"{prime} {names}")
    return [{name: rng.randrange(2, prime) for name in names} for _ in range(count)]


class _Field:
    def __init__(self, prime: int, point: Mapping[str, int]) -> None:
        self.prime, self.point = prime, point

    def value(self, tree: Tree) -> int:
        head, prime = tree[0], self.prime
        if head == "num":
            return self.quotient(tree[1].numerator, tree[1].denominator)
        if head == "sym":
            if tree[1] in CONSTANTS:
                raise UnknownError(tree[1])
            return self.point[tree[1]]
        if head == "add":
            return sum(self.value(part) for part in tree[1:]) % prime
        if head == "mul":
            value = 1
            for part in tree[1:]:
                value = value * self.value(part) % prime
            return value
        if head == "pow":
            return self.power(tree[1], tree[2])
        if head in INTEGER_HEADS or head in ("floor", "ceil", "abs", "max", "min"):
            return self.value(("num", _exact(tree)))
        if head.startswith("call:") or head in OPAQUE:
            return self.unknown(tree)
        raise UnknownError(head)

    def quotient(self, top: int, bottom: int) -> int:
        if bottom % self.prime == 0:
            raise UndefinedError
        return top * pow(bottom, -1, self.prime) % self.prime

    def power(self, base: Tree, exponent: Tree) -> int:
        power = _exact(exponent)
        if power.denominator != 1:
            raise UnknownError("a root")
        value = self.value(base)
        if value == 0:
            if power <= 0:
                raise UndefinedError
            return 0
        return pow(value, int(power), self.prime)

    def unknown(self, tree: Tree) -> int:
        """Return a function nobody named: a polynomial of its own, the same for the same name."""
        value = seed(tree[0])
        for place, part in enumerate(tree[1:]):
            value = (
                value + pow(self.value(part) + seed(f"{tree[0]} {place}"), 3, self.prime)
            ) % self.prime
        return value


def seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:4], "big")


# --------------------------------------------------------------------------- digits

_REAL_POINTS = (0.37, 1.61, 2.83, 5.19, 0.083, 11.7)
_WHOLE_POINTS = (2, 3, 6, 4, 10, 15, 5, 12)


def _points(names: Sequence[str], whole: bool) -> list[tuple[bool, dict[str, Fraction]]]:
    """Return points, each with whether it is positive; the others have negative numbers too."""
    rng = random.Random(" ".join(names))
    points: list[tuple[bool, dict[str, Fraction]]] = []
    for i in range(20 if whole else 6):
        if whole:
            point = {
                n: Fraction(rng.choice(_WHOLE_POINTS)) if i < 6 else Fraction(rng.randint(1, 12))
                for n in names
            }
        else:
            point = {
                n: Fraction(int(rng.choice(_REAL_POINTS) * 10_000) + rng.randint(1, 999), 10_007)
                for n in names
            }
        points.append((True, point))
    if not whole:
        for _ in range(5):
            point = {
                n: Fraction(
                    rng.choice((-1, 1)) * (int(rng.choice(_REAL_POINTS) * 10_000) + 7), 10_009
                )
                for n in names
            }
            points.append((False, point))
        points += [(False, {n: -value for n, value in point.items()}) for _, point in points[:3]]
    return points


def _is_whole(tree: Tree) -> bool:
    """Return whether a letter is inside a function of whole numbers."""
    if tree[0] in INTEGER_HEADS and any(
        symbols(part) - CONSTANTS for part in tree[1:] if isinstance(part, tuple)
    ):
        return True
    return any(_is_whole(part) for part in tree[1:] if isinstance(part, tuple))


def _same_digits(first: Tree, second: Tree, degree: str) -> bool | None:
    names = sorted((symbols(first) | symbols(second)) - CONSTANTS)
    if not names:
        return _same_numbers(first, second, degree)
    whole = _is_whole(first) or _is_whole(second)
    imaginary = "i" in symbols(first) | symbols(second)
    agreed = 0
    for positive, point in _points(names, whole):
        verdict = _same_at(first, second, point, degree, imaginary=imaginary or positive)
        if verdict is False:
            return False
        agreed += verdict is True
    return True if agreed >= 3 else None


def _same_at(
    one: Tree, other: Tree, point: Mapping[str, Fraction], degree: str, *, imaginary: bool
) -> bool | None:
    """Return whether both have the same value here; None where one has no value, or no real one."""
    import mpmath

    for digits in DIGITS[:2]:
        with mpmath.workdps(digits):
            try:
                first, second = (_Digits(digits, point, degree) for _ in range(2))
                a, b = first.value(one), second.value(other)
            except UndefinedError:
                return None
            except UnknownError:
                return None
            if not imaginary and (not _is_real(a, digits) or not _is_real(b, digits)):
                return None
            error = max(first.scale, second.scale) * mpmath.mpf(10) ** (_SURE - digits)
            if _is_rough(one) or _is_rough(other):
                error = max(error, max(first.scale, second.scale) * mpmath.mpf(10) ** -12)
            if abs(a - b) > error:
                return False
    return True


def _is_rough(tree: Tree) -> bool:
    endless = tree[0] in ("sum", "prod") and tree[3] == ("sym", r"\infty")
    parts = (part for part in tree[1:] if isinstance(part, tuple))
    return endless or tree[0] in ROUGH or any(map(_is_rough, parts))


def _is_real(value: Any, digits: int) -> bool:
    import mpmath

    return abs(mpmath.im(value)) <= abs(value) * mpmath.mpf(10) ** (_SURE - digits)


def _same_numbers(one: Tree, other: Tree, degree: str) -> bool | None:
    import mpmath

    rough = _is_rough(one) or _is_rough(other)
    scale = error = mpmath.mpf(0)
    for digits in DIGITS[:1] if rough else DIGITS:
        with mpmath.workdps(digits):
            try:
                first, second = (_Digits(digits, {}, degree) for _ in range(2))
                a = first.value(one)
            except (UnknownError, UndefinedError):
                return None
            try:
                b = second.value(other)
            except UndefinedError:
                return False
            except UnknownError:
                return None
            if mpmath.isinf(a) or mpmath.isinf(b):
                return bool(a == b)
            scale = max(first.scale, second.scale)
            error = scale * mpmath.mpf(10) ** (-12 if rough else _SURE - digits)
            if abs(a - b) > error:
                return False
    return True if scale < mpmath.mpf(10) ** (DIGITS[-1] // 3) else None


class _Digits:
    """Evaluates with mpmath in so many digits; `scale` is the largest number on the way."""

    def __init__(self, digits: int, point: Mapping[str, Fraction], degree: str) -> None:
        import mpmath

        self.mp, self.digits, self.point, self.degree = mpmath, digits, dict(point), degree
        self.scale = mpmath.mpf(1)
        self.inside = 0

    def value(self, tree: Tree) -> Any:
        with self.mp.workdps(self.digits):
            return self._value(tree)

    def _value(self, tree: Tree) -> Any:
        try:
            value = self._node(tree)
        except (ZeroDivisionError, ValueError, OverflowError, TypeError) as error:
            raise UndefinedError from error
        except (self.mp.libmp.NoConvergence, MemoryError) as error:
            raise UnknownError from error
        if self.mp.isnan(value):
            raise UndefinedError
        if not self.mp.isinf(value):
            size = abs(value)
            self.scale = max(self.scale, size)
            if size and abs(self.mp.mag(size)) > 1 << 40:
                raise UnknownError("too large")
        return value

    def _node(self, tree: Tree) -> Any:
        head, mp = tree[0], self.mp
        if head == "num":
            return mp.mpf(tree[1].numerator) / tree[1].denominator
        if head == "sym":
            return self.letter(tree[1])
        if head == "add":
            return mp.fsum(self._value(part) for part in tree[1:])
        if head == "mul":
            return self.product([self._value(part) for part in tree[1:]])
        if head == "pow":
            return self.power(tree)
        if head == "root":
            return self.root(self._value(tree[1]), self._value(tree[2]))
        if head == "deg":
            value = self._value(tree[1])
            return value if self.degree == "one" and not self.inside else value * mp.pi / 180
        if head in BINDERS:
            return self.bound(tree)
        if head.startswith("call:") or head in OPAQUE:
            return self.unknown(tree)
        self.inside += 1
        values = [self._value(part) for part in tree[1:]]
        self.inside -= 1
        return self.function(head, values)

    def product(self, values: list[Any]) -> Any:
        product = self.mp.mpf(1)
        for value in values:
            product = product * value
        return product

    def letter(self, name: str) -> Any:
        mp = self.mp
        if name in self.point:
            value = self.point[name]
            return (
                mp.mpf(value.numerator) / value.denominator
                if isinstance(value, Fraction)
                else value
            )
        if name == "e":
            return +mp.e
        if name == "i":
            return mp.mpc(0, 1)
        if name == r"\pi":
            return +mp.pi
        if name == r"\infty":
            return mp.inf
        raise UnknownError(name)

    def power(self, tree: Tree) -> Any:
        mp = self.mp
        base = self._value(tree[1])
        exact = rational(tree[2])
        if exact is None:
            exponent = self._value(tree[2])
            if base == 0 and self.mp.re(exponent) <= 0:
                raise UndefinedError
            if base == 0:
                return mp.mpf(0)
            if mp.isinf(exponent):
                raise UnknownError
            if abs(self.mp.mag(exponent)) > 45 or abs(exponent * mp.log(base)) > 1 << 40:
                raise UnknownError("too large")
            return mp.power(base, exponent)
        if exact.denominator == 1:
            if base == 0 and exact <= 0:
                raise UndefinedError
            if abs(int(exact)) > 1 << 34:
                raise UnknownError("too large")
            return base ** int(exact)
        if exact.denominator % 2 and mp.im(base) == 0 and base < 0:
            return self.root(base, mp.mpf(exact.denominator)) ** exact.numerator
        return mp.power(base, mp.mpf(exact.numerator) / exact.denominator)

    def root(self, base: Any, degree: Any) -> Any:
        mp = self.mp
        if mp.im(base) == 0 and mp.re(base) < 0 and mp.isint(degree) and int(degree.real) % 2:
            return -mp.power(-mp.re(base), 1 / degree)
        return mp.sqrt(base) if degree == 2 else mp.power(base, 1 / degree)

    def function(self, head: str, values: list[Any]) -> Any:
        mp = self.mp
        if head == "abs":
            return abs(values[0])
        if head == "ln":
            return mp.log(self.nonzero(values[0]))
        if head == "logb":
            return mp.log(self.nonzero(values[0])) / self.nonzero(mp.log(self.nonzero(values[1])))
        if head in ("floor", "ceil"):
            if mp.im(values[0]):
                raise UndefinedError
            nearest = mp.nint(values[0])
            if nearest != values[0] and abs(values[0] - nearest) < mp.mpf(10) ** (
                -self.digits // 2
            ):
                values = [nearest]
            return (mp.floor if head == "floor" else mp.ceil)(values[0])
        if head in ("max", "min"):
            if any(mp.im(value) for value in values):
                raise UndefinedError
            return (max if head == "max" else min)(map(mp.re, values))
        if head in ("re", "im"):
            return (mp.re if head == "re" else mp.im)(values[0])
        if head == "sgn":
            return mp.sign(values[0])
        if head == "arg":
            return mp.arg(values[0])
        if head in ("fact", "fact2", "binom"):
            if any(abs(value) > 100_000 for value in values):
                raise UnknownError("too large")
            return {"fact": mp.factorial, "fact2": mp.fac2, "binom": mp.binomial}[head](*values)
        if head in ("gcd", "lcm", "mod"):
            return self.whole(head, values)
        named = _NUMERIC.get(head)
        if named is None:
            raise UnknownError(head)
        if head in ("arccot",):
            return mp.pi / 2 - mp.atan(values[0])
        if any(abs(value) > 10**9 for value in values):
            raise UnknownError("too large")
        return getattr(mp, named)(values[0])

    def nonzero(self, value: Any) -> Any:
        if value == 0:
            raise UndefinedError
        return value

    def whole(self, head: str, values: list[Any]) -> Any:
        if any(self.mp.im(value) or not self.mp.isint(value) for value in values):
            raise UndefinedError
        numbers = [int(self.mp.re(value)) for value in values]
        if head == "mod":
            return self.mp.mpf(numbers[0] % self.nonzero(numbers[1]))
        return self.mp.mpf((math.gcd if head == "gcd" else math.lcm)(*numbers))

    def unknown(self, tree: Tree) -> Any:
        value = self.mp.mpf(seed(tree[0])) / 2**32
        for place, part in enumerate(tree[1:]):
            value += (self._value(part) + self.mp.mpf(seed(f"{tree[0]} {place}")) / 2**32) ** 3
        return value

    def bound(self, tree: Tree) -> Any:
        mp, head, name = self.mp, tree[0], tree[1]
        outer = self.point.get(name)

        def at(value: Any) -> Any:
            self.point[name] = value
            return self._value(tree[-1])

        try:
            if head == "diff":
                if outer is None:
                    raise UnknownError("a derivative nowhere")
                here = (
                    mp.mpf(outer.numerator) / outer.denominator
                    if isinstance(outer, Fraction)
                    else outer
                )
                return mp.diff(at, here)
            if head == "lim":
                return mp.limit(at, self._value(tree[2]))
            low, high = self._value(tree[2]), self._value(tree[3])
            if head == "int":
                if self.digits > 30:
                    with mp.workdps(30):
                        return mp.quad(at, [low, high])
                return mp.quad(at, [low, high])
            if mp.isinf(high):
                return (mp.nsum if head == "sum" else mp.nprod)(at, [low, mp.inf])
            if not mp.isint(low) or not mp.isint(high) or high - low > MAX_TERMS:
                raise UnknownError("not written out")
            terms = [at(mp.mpf(k)) for k in range(int(mp.re(low)), int(mp.re(high)) + 1)]
            return mp.fsum(terms) if head == "sum" else self.product(terms)
        finally:
            if outer is None:
                self.point.pop(name, None)
            else:
                self.point[name] = outer


_NUMERIC = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")},
    **{"coth": "coth", "sech": "sech", "csch": "csch", "arcsin": "asin", "arccos": "acos"},
    **{"arctan": "atan", "arccot": "acot", "arcsec": "asec", "arccsc": "acsc", "arsinh": "asinh"},
    **{"arcosh": "acosh", "artanh": "atanh"},
}


# --------------------------------------------------------------------------- multiples


def _sign(first: Tree, second: Tree, names: Sequence[str]) -> Fraction | None:
    """Return the sign of first / second, which is known to be a constant."""
    import mpmath

    for _, point in _points([n for n in names if n not in CONSTANTS], whole=False):
        with mpmath.workdps(30):
            try:
                a, b = (_Digits(30, point, "radians").value(tree) for tree in (first, second))
            except (UnknownError, UndefinedError):
                continue
            if abs(b) > 1e-15 and abs(a) > 1e-15:
                return Fraction(1 if mpmath.re(a / b) > 0 else -1)
    return None


def _multiple_digits(one: Tree, other: Tree, names: Sequence[str]) -> Fraction | bool | None:
    import mpmath

    letters = [name for name in names if name not in CONSTANTS]
    ratio = None
    seen = 0
    values: list[Any] = []
    whole = _is_whole(one) or _is_whole(other)
    for _, point in _points(letters, whole):
        with mpmath.workdps(50):
            try:
                first, second = (_Digits(50, point, "radians") for _ in range(2))
                a, b = first.value(one), second.value(other)
            except (UnknownError, UndefinedError):
                continue
            values.append(b)
            tiny = max(first.scale, second.scale) * mpmath.mpf(10) ** -40
            if abs(a) <= tiny and abs(b) <= tiny:
                continue
            if abs(a) <= tiny or abs(b) <= tiny:
                return False
            here = a / b
            if ratio is not None and abs(here - ratio) > abs(ratio) * mpmath.mpf(10) ** -25:
                return False
            ratio, seen = here, seen + 1
    if ratio is None or seen < 3:
        return None
    if all(abs(value - values[0]) <= abs(values[0]) * mpmath.mpf(10) ** -25 for value in values):
        return False  # an equation that holds nowhere
    return Fraction(1 if mpmath.re(ratio) > 0 else -1)
