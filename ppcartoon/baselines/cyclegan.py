"""CycleGAN (Zhu et al., ICCV 2017): ppgan's CycleGANModel in our trainer, with photos as A and cartoons as B.

It equals the authors' (github.com/junyanz/pytorch-CycleGAN-and-pix2pix). The image pools get detached images.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor

from ..models.base import TrainableModel
from ..models.image_pool import ImagePool

# isort: split
from ppgan.models.cycle_gan_model import CycleGANModel

LOSS_NAMES = {  # ppgan's name -> name in the logs, with the kind of image that is judged or compared
    "D_A_loss": "d_cartoon",
    "D_B_loss": "d_photo",
    "G_A_adv_loss": "g_adv_cartoon",
    "G_B_adv_loss": "g_adv_photo",
    "G_A_cycle_loss": "g_cycle_photo",
    "G_B_cycle_loss": "g_cycle_cartoon",
    "G_idt_A_loss": "g_identity_cartoon",
    "G_idt_B_loss": "g_identity_photo",
}


class CycleGANBaseline(TrainableModel, CycleGANModel):
    """ppgan's CycleGANModel: G_A turns photos into cartoons, G_B cartoons into photos; D_A judges cartoons, D_B photos.

    D_A and D_B also see earlier outputs, drawn from image pools. The checkpoint stores the pools, because a resumed run
    needs them. Training runs in one process, because a checkpoint stores the pools of one process.

    Args:
        generator: name and arguments of G_A and G_B in ppgan's registry.
        discriminator: name and arguments of D_A and D_B.
        gan_mode: "lsgan" or "vanilla".
        cycle_weight: lambda, weight of the L1 distance between an image and its reconstruction.
        identity_weight: weight of the identity loss, in units of lambda; 0: none.
        pool_size: images in each pool; 0: no pools.
    """

    cartoonizer = "netG_A"
    parallel = False
    idt_criterion = None  # ppgan does not set it without an identity loss

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        gan_mode: str = "lsgan",
        cycle_weight: float = 10.0,
        identity_weight: float = 0.5,
        pool_size: int = 50,
    ) -> None:
        super().__init__(
            generator,
            discriminator,
            cycle_criterion={"name": "L1Loss"},
            idt_criterion={"name": "L1Loss", "loss_weight": identity_weight} if identity_weight else None,
            gan_criterion={"name": "GANLoss", "gan_mode": gan_mode},
            pool_size=pool_size,
            lambda_a=cycle_weight,
            lambda_b=cycle_weight,
        )
        self.network = {"generator": dict(generator)}
        self.fake_A_pool, self.fake_B_pool = ImagePool(pool_size), ImagePool(pool_size)
        self.pools = {"cartoons": self.fake_B_pool, "photos": self.fake_A_pool}

    def setup_input(self, input: dict[str, Tensor]) -> None:
        super().setup_input(input)
        self.real_A, self.real_B = self.photo, self.cartoon
        for pool in self.pools.values():
            pool.fit(self.photo)

    def train_iter(self, optims: dict | None = None) -> None:
        """One step on the batch: of both generators, then of both discriminators."""
        optimizers = optims or self.optimizers
        discriminators = [self.nets["netD_A"], self.nets["netD_B"]]
        self.losses = {}
        self.forward()
        self.set_requires_grad(discriminators, False)
        self.backward_G()
        _optimizer_step(optimizers["optimizer_G"])
        self.set_requires_grad(discriminators, True)
        self.fake_A, self.fake_B = self.fake_A.detach(), self.fake_B.detach()
        self.backward_D_A()
        self.backward_D_B()
        _optimizer_step(optimizers["optimizer_D"])
        terms = {LOSS_NAMES[name]: loss.detach() for name, loss in self.losses.items() if isinstance(loss, Tensor)}
        self.losses = {"d_loss": terms["d_cartoon"] + terms["d_photo"], "g_loss": self.loss_G.detach(), **terms}
        self.steps += 1

    def extra_state(self) -> dict[str, np.ndarray]:
        """The images of each pool, [n, 3, H, W]."""
        return {name: pool.state() for name, pool in self.pools.items() if pool.images}

    def load_extra_state(self, tensors: dict[str, np.ndarray]) -> None:
        for name, pool in self.pools.items():
            pool.load(tensors.get(name))


def _optimizer_step(optimizer: paddle.optimizer.Optimizer) -> None:
    optimizer.step()
    optimizer.clear_grad()
