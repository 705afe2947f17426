"""An HTTP endpoint of your own: the body of the request is a photo, and that of the answer its cartoon, a JPEG file.

    pip install ".[web]"                            # in a clone of the repository
    uvicorn --app-dir examples fastapi_app:app
    curl --data-binary @photo.jpg http://127.0.0.1:8000/cartoon -o cartoon.jpg

`ppcartoon serve` is a complete service: videos, styles, progress, API keys, metrics and a page.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, HTTPException, Request, Response
from PIL import Image

from ppcartoon import CartoonPredictor, InputError, images

MAX_BYTES = 20_000_000
MAX_MEGAPIXELS = 50
app = FastAPI()
predictor = CartoonPredictor("peppercarrot")  # the threads share it
pool = ThreadPoolExecutor(2)  # limits the memory; more requests wait


def draw(data: bytes) -> bytes:
    photo = images.read(io.BytesIO(data), MAX_MEGAPIXELS)
    buffer = io.BytesIO()
    Image.fromarray(predictor(photo.rgb)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@app.post("/cartoon")
async def cartoon(request: Request) -> Response:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise HTTPException(413, f"the photo has more than {MAX_BYTES} bytes")
    try:
        jpeg = await asyncio.get_running_loop().run_in_executor(pool, draw, bytes(data))
    except InputError as error:
        raise HTTPException(415, str(error)) from error
    return Response(jpeg, media_type="image/jpeg")
