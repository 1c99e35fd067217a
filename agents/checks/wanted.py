"""Words that show what a task may need, so that a small model is not asked what it may not need.

Tools have them as `metadata["wanted"]`. They are written for English, German, French and Spanish; a text with letters
other than Latin may need everything.
"""

import re
from collections.abc import Callable


def mentions(*stems: str) -> Callable[[str], bool]:
    """Return whether a text has a word with one of these beginnings, parted by `|`."""
    words = re.compile(rf"\b(?:{'|'.join(stems)})|[^\W\d_\u0000-\u024f]", re.IGNORECASE)
    return lambda text: words.search(text) is not None


names_address = mentions(r"\w{1,20}://", r"www\.", r"[\w-]{1,60}\.[a-z]{2,6}\b(?!\()")

names_files = mentions(
    r"(?:files?|folders?|documents?|notes|minutes|my|our)\b|contract|invoice|report|spreadsheet|readme|according to",
    r"datei|ordner|dokument|notizen|protokoll|meine|unsere|vertrag|rechnung|bericht|laut\b",
    r"fichier|dossier|(?:mes|mon|ma|nos|notre)\b|contrat|facture|rapport|selon\b",
    r"archivo|carpeta|mis?\b|nuestr|contrato|factura|informe|según",
)

names_what_changes = mentions(
    r"search|look up|web|internet|online|current|latest|newest|recent|today|tomorrow|now\b|news|weather|version|who is",
    r"20\d\d|suche|aktuell|neueste|heute|morgen|jetzt|nachricht|wetter|wer ist",
    r"cherch|actuel|derni|aujourd|demain|maintenant|météo|qui est",
    r"busca|ahora|hoy\b|actual|último|noticia|quién es",
)

asks_for_figures = mentions(
    r"how (?:many|much|long|far|old|fast|often|big|large|high|heavy)|work out|count|calcul|comput|conver|compar|cost",
    r"pric|pay|paid|(?:sums?|add|mean|rate|left|more|less|most|each|owe)\b|total|average|median|share|percent|ratio|differ",
    r"cheap|expensive|worth|budget|balance|profit|loss|tax|area|volume|distance|multipl|divid|subtract|split|twice|double",
    r"half|together|altogether|in all\b|enough|afford|bill\b|salar|wage|earn|spen[dt]|save|saving|remain|fewer|least",
    r"\w{0,20}kost|\w{0,20}preis|zahl|summ|gesamt|zusammen|\w{0,5}rechn|wie ?(?:viel|lange|weit|oft|hoch|alt)",
    r"durchschnitt|anteil|prozent|unterschied|vergleich|billig|günstig|teuer|teur|fläche|übrig|doppel|hälfte|mehr\b|weniger|je\b|reicht",
    r"combien|coût|prix|paie|paye|somme|moyenne|pourcent|différence|moins|plus\b|surface|reste|moitié|ensemble|chacun",
    r"cuánt|cuest|costo|preci|pag[aou]|promedio|porcentaje|diferencia|barat|menos|más\b|mitad|qued|juntos|cada\b",
)

asks_for_words = mentions(
    r"explain|describe|list\b|name|suggest|recommend|advi[sc]e|why|which|who|write|also|then\b|better|best|compar|reason",
    r"erklär|beschreib|nenn|empfiehl|empfehl|warum|welche|wer\b|schreib|auch|dann|besser|vergleich",
    r"expli|décri|décriv|nomme|recommand|pourquoi|quel|qui\b|écri|aussi|puis|meilleur",
    r"describ|nombra|recomiend|por ?qué|cuál|quién|escrib|también|luego|mejor",
)

asks_for_names = mentions(r"who|which|names?\b|list\b|wer\b|welche|nenn|qui\b|quel|nomm|quién|cuál|nombr")

asks_for_order = mentions(
    r"(?<!at )(?:most|least)\b",
    r"(?:great|larg|bigg|small|high|low|long|short|cheap|old|young|fast|slow|far|furth|farth|heavi|light|few)est",
    r"meiste|wenigste|(?:größ|klein|höch|tief|niedrig|läng|kürz|billig|günstig|teuer|ält|jüng|schnell|langsam|weit)ste",
    r"(?:le|la|les) (?:plus|moins)|(?:el|la|los|las|quién) (?:más|menos)|mayor|menor",
)
