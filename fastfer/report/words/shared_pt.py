"""What more than one page says, in Portuguese."""

from typing import Final

WORDS: Final[dict[str, str]] = {
    "Made {when} by fastfer {version} from {source}": "Feito em {when} por fastfer {version} a partir de {source}",
    "–": "–",
    "Dataset": "Conjunto",
    "Class": "Classe",
    "Faces": "Faces",
    "faces": "faces",
    "Measure": "Medida",
    "Share": "Proporção",
    "Difference": "Diferença",
    "all": "todas",
    "of": "de",
    # Measures of photographs
    "Width, px": "Largura, px",
    "Height, px": "Altura, px",
    "Megapixels": "Megapixels",
    "File size, bytes": "Tamanho do arquivo, bytes",
    "Sharpness, variance of the Laplacian": "Nitidez, variância do laplaciano",
}
