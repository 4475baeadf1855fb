import os, signal, time
from ocrplus_ocr.engine import *
from ocrplus_contract.states import *
class Stub:
    version="stub"
    def read(self, pdf, pages, options):
        for p in pages:
            time.sleep(0.05)
            if os.path.exists(f"/tmp/stub-die-{p}"):
                print("dying", p, flush=True); os.kill(os.getpid(), 9)
            yield PageResult(page=p, state=PageState.OK, markdown=f"page {p}", source=TextSource.OCR, timings={"engine":0.05})
    def close(self): pass
def build_engine(settings): time.sleep(0.5); return Stub()
def missing_models(settings): return []
