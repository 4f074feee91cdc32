"""Which language a text is in: the source's own word for it, else py3langid restricted to the expected languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "unknown"

# ISO 639-1, all of it.
ISO_639_1 = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv
    dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie
    ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv
    mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm
    rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts
    tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905  (read as a table)
)
# Norwegian that doesn't say which is nearly always bokmål; the others are codes that were withdrawn, still in use.
_SAME = {"no": "nb", "in": "id", "iw": "he", "ji": "yi"}
# Languages that can't be told apart in a short text: their likelihoods are added up before the winner must show
# how sure it is.
_NEAR = ({"nb", "nn", "da"}, {"ms", "id"})
# Languages not written in Latin letters. Latin-only text is never one of these, and the other way round.
_OTHER_SCRIPTS = frozenset(
    """
    am ar be bg bn dv dz el fa gu he hi hy ii iu ja ka kk km kn ko ks ky lo mk ml mn mr my ne or pa ps
    ru sa sd si sr ta te tg th ti ug uk ur yi zh
    """.split()  # noqa: SIM905  (read as a table)
)

# Those of UTF-8 for U+0020..U+024F. Other characters are taken out before such a text is looked at.
_LATIN_BYTES = [*range(0x20, 0x7F), *range(0x80, 0xC0), *range(0xC2, 0xCA)]
_NOT_LATIN = re.compile("[^ -~\u0080-\u024f]")

_NO_WORDS = re.compile(r"https?://\S+|www\.\S+|[@#][\w.@-]+|&\w+;|\d+")
_ENOUGH = 240  # characters looked at; more changes 2 of 1,000 answers and costs time
_SURE = 0.4  # below this likelihood of the winner (near ones added) the language is unknown
_FEWEST_LETTERS = 8


def claimed(lang: str | None) -> str | None:
    """The ISO 639-1 code that a source's own statement names ("en-GB" is en), or None when it names none."""
    if not lang:
        return None
    code = re.split("[-_]", lang.strip().lower(), maxsplit=1)[0]
    code = _SAME.get(code, code)
    return code if code in ISO_639_1 else None


class LanguageFinder:
    """Detects one of ``languages``. The model is read at the first use (1 s, 36 MB with numpy).

    A language that the model doesn't know is never detected; a source may still claim it.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = tuple(languages)
        self._latin = any(lang not in _OTHER_SCRIPTS for lang in languages)
        self._other = any(lang in _OTHER_SCRIPTS for lang in languages)
        self._identifier: LanguageIdentifier | None = None
        self._lock = Lock()

    def detect(self, text: str) -> str:
        """The language, or "unknown" for text that is too short, mixed or in a script that none of them uses."""
        text = " ".join(_NO_WORDS.sub(" ", text[: 3 * _ENOUGH]).split())[:_ENOUGH]
        letters = sum(map(str.isalpha, text))
        if letters < _FEWEST_LETTERS:
            return UNKNOWN
        if not text.isascii():
            latin = _NOT_LATIN.sub(" ", text)
            if not (self._latin if 2 * sum(map(str.isalpha, latin)) > letters else self._other):
                return UNKNOWN
            if not self._other:
                text = latin
        ranked = [(_SAME.get(lang, lang), share) for lang, share in self._model().rank(text)]
        best = ranked[0][0]
        near = next((group for group in _NEAR if best in group), {best})
        return best if sum(share for lang, share in ranked if lang in near) >= _SURE else UNKNOWN

    def _model(self) -> LanguageIdentifier:
        with self._lock:
            if self._identifier is None:
                self._identifier = _load(self._languages)
            return self._identifier


def _load(languages: Sequence[str]) -> LanguageIdentifier:
    """py3langid's model cut down to ``languages``; same answers for text in their letters (a test compares them).

    The library's own loader keeps all 142 languages, copies while it reads, and needs a writable directory: 95 MB,
    125 MB for a moment. This takes 36 MB, 16 of them numpy's, and 70 MB for a moment; 66 MB where a language of
    another script is expected, for then its moves can't be left out.
    """
    import io
    import lzma

    import numpy as np
    from py3langid import langid

    wanted = {"no" if lang == "nb" else lang for lang in languages}
    # Unpacked once (0.3 s): a step back in the packed file would unpack it anew, and the directory is at its end.
    unpacked = lzma.decompress((langid.MODEL_DIR / langid.MODEL_FILE).read_bytes())
    with np.load(io.BytesIO(unpacked), allow_pickle=False) as model:
        likelihoods = model["ptc"]
        priors = model["pc"]
        classes = model["classes"].tolist()
        columns = [place for place, lang in enumerate(classes) if lang in wanted]
        likelihoods = np.ascontiguousarray(likelihoods[:, columns])
        moves, rows, features = (model[key] for key in ("nextmove", "nextmove_row", "out_feat"))
    if _OTHER_SCRIPTS.isdisjoint(languages):
        moves, rows, features = _latin_only(moves.reshape(-1, 256), rows, features)
    return langid.LanguageIdentifier(
        likelihoods,
        priors[columns],
        [classes[place] for place in columns],
        memoryview(moves),
        memoryview(features),
        norm_probs=True,
        tk_row=memoryview(rows),
    )


def _latin_only(moves: Any, rows: Any, features: Any) -> tuple[Any, Any, Any]:
    """The automaton without the states that no Latin text reaches: 11 MB of moves instead of 39.

    ``moves[rows[state], byte]`` is the next state, ``features[state]`` what it counts; state 0 is the start.
    """
    import numpy as np

    reached = np.zeros(len(rows), dtype=bool)
    edge = np.zeros(1, dtype=np.intp)
    while len(edge):
        reached[edge] = True
        ahead = np.zeros(len(rows), dtype=bool)
        for start in range(0, len(edge), 500):  # in small pieces, for large ones would stay on the heap
            ahead[moves[rows[edge[start : start + 500], None], _LATIN_BYTES]] = True
        edge = np.flatnonzero(ahead & ~reached)
    states = np.flatnonzero(reached)
    used, new_rows = np.unique(rows[states], return_inverse=True)
    renumbered = np.zeros(len(rows), dtype=np.uint16 if len(states) < 1 << 16 else np.uint32)
    renumbered[states] = np.arange(len(states))
    kept = np.zeros((len(used), 256), dtype=renumbered.dtype)
    for byte in _LATIN_BYTES:
        kept[:, byte] = renumbered[moves[used, byte]]
    return kept.ravel(), new_rows.astype(np.uint16), features[states]
