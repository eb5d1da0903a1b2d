"""The same JSON bytes as other people's parsers read them: first wins, last wins, and those that mind no case."""
import json


def fold(name):
    """Go's encoding/json: Unicode simple folding, under which the long s and the Kelvin sign are letters of ASCII."""
    return name.replace("\u017f", "s").replace("\u212a", "k").lower()


def first_wins(pairs):
    found = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def last_wins(pairs):
    return dict(pairs)


def no_case_first(pairs):
    return first_wins([(fold(name), value) for name, value in pairs])


def no_case_last(pairs):
    return last_wins([(fold(name), value) for name, value in pairs])


def cut_at_nul(pairs):
    """A library in C: a name is over at its first NUL."""
    return first_wins([(fold(name.partition("\0")[0]), value) for name, value in pairs])


READERS = (first_wins, last_wins, no_case_first, no_case_last, cut_at_nul)


def read(text, reader):
    """The document; only its top is folded by those that mind no case, since only there a struct waits for known names."""
    return reader(json.loads(text, object_pairs_hook=list))


def read_all(text):
    """What each reader finds at the top."""
    return [read(text, reader) for reader in READERS]
