"""What one writes on a first afternoon: feedparser, bs4, re, langdetect, VADER, a commit a row.

Run with the peers' environment: naive.py FOLDER NAME..., where FOLDER holds feeds. Prints mentions and seconds.
"""

import re
import sqlite3
import sys
import time
from pathlib import Path

import feedparser
from bs4 import BeautifulSoup
from langdetect import LangDetectException, detect
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def main(folder: Path, names: list[str]) -> None:
    vader = SentimentIntensityAnalyzer()
    pattern = re.compile("|".join(rf"\b{re.escape(n)}\b" for n in names), re.IGNORECASE)
    detect("Warm up the language model with a sentence, please.")
    database = folder / "naive.db"
    database.unlink(missing_ok=True)
    connection = sqlite3.connect(database)
    connection.execute(
        "CREATE TABLE mentions (feed, id, title, text, at, lang, score, PRIMARY KEY (feed, id))"
    )
    bodies = [path.read_bytes() for path in sorted(folder.glob("*.xml"))]
    found = 0
    start = time.perf_counter()
    for number, body in enumerate(bodies):
        for entry in feedparser.parse(body).entries:
            body = entry.content[0].value if "content" in entry else entry.get("summary", "")
            text = BeautifulSoup(body, "html.parser").get_text(" ")
            if pattern.search(f"{entry.title} {text}"):
                try:
                    lang = detect(text)
                except LangDetectException:
                    lang = None
                score = vader.polarity_scores(text)["compound"]
                row = (number, entry.get("id"), entry.title, text, entry.get("published"), lang, score)
                connection.execute("INSERT OR IGNORE INTO mentions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                connection.commit()
                found += 1
    print(found, time.perf_counter() - start)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
