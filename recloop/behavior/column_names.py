"""What the name of a column says of it, in some languages.

Belongs here: words. Keep out: what the column holds (`roles.py`).
"""

from __future__ import annotations

import re

NAMES = {
    "user": "user customer client visitor member account buyer shopper reviewer subscriber cookie uid "
    "reader listener viewer player patron borrower guest student learner household email",
    "item": "item product sku article movie film track song artist book asin isbn stock listing news "
    "video restaurant place recipe offer good",
    "session": "session visit basket cart_id",
    "time": "time timestamp date datetime ts day when created at",
    "kind": "event type action behavior behaviour kind verb activity",
    "value": "rating score overall stars grade quantity qty count plays listens watch duration",
    "rating": "rating score overall stars grade",
    "price": "price unitprice unit_price cost",
    "text": "title name description desc product_name item_name headline category genre brand tags",
    "person": "country city region gender age segment state occupation",
}
STEMS = {
    "user": "kunde nutzer benutzer besucher leser utilisateur visiteur acheteur usuario utente klant",
    "item": "artikel produkt produit producto prodotto articulo articolo",
    "time": "datum zeit zeitpunkt fecha",
    "value": "menge anzahl quantit cantidad aantal bewertung",
    "rating": "bewertung",
    "price": "preis einzelpreis prix precio prezzo prijs",
    "text": "name bezeichnung titel beschreibung libell descripcion descrizione omschrijving",
}
"""How such words begin in some other languages, which write compounds: Kundennummer."""


def words(name: str) -> set[str]:
    """`unitPrice:float` as {"unit", "price", "unitprice"}."""
    plain = re.sub(r":.*$", "", name)
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)
    return {part.lower() for part in parts} | {plain.lower(), plain.lower().replace("_", "")}


def says(name: str, role: str) -> bool:
    """Whether a word of the name is one of the role's; roles are those of `NAMES`."""
    known, stems = NAMES[role].split(), tuple(STEMS.get(role, "").split())
    return any(
        word.removesuffix("s") in known
        or word.removesuffix("id") in known
        or (bool(stems) and word.startswith(stems))
        for word in words(name)
    )


def ends(name: str, role: str) -> bool:
    """Whether the last part of a compound says it: Artikelpreis."""
    return any(word.endswith(tuple(STEMS.get(role, "-").split())) for word in words(name))
